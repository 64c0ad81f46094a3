/**
 * Migrations are numbered without a gap, say on their first line what they do to a running system, and
 * never change once db/migrations/checksums.txt (the output of sha256sum) lists them.
 */
import { createHash } from "node:crypto";

export function migrationViolations(
	files: ReadonlyMap<string, string>,
	checksums: string,
): string[] {
	const found: string[] = [];
	const names = [...files.keys()].filter((name) => name.endsWith(".sql")).toSorted();
	for (const [index, name] of names.entries()) {
		const number = String(index + 1).padStart(4, "0");
		if (!new RegExp(`^${number}-[a-z0-9-]+\\.sql$`).test(name))
			found.push(`${name}: expected ${number}-words.sql`);
		if (!/^-- (additive|breaking: \S)/.test(files.get(name) ?? ""))
			found.push(`${name}: the first line says "-- additive" or "-- breaking: <plan>"`);
	}
	for (const line of checksums.split("\n").filter((one) => one.trim() !== "")) {
		const [sum = "", name = ""] = line.trim().split(/\s+\*?/);
		const text = files.get(name);
		if (text === undefined) found.push(`${name}: listed in checksums.txt, but gone`);
		else if (createHash("sha256").update(text).digest("hex") !== sum)
			found.push(`${name}: is frozen and was changed; add a migration in its place`);
	}
	return found;
}
