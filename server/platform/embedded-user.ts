/**
 * PostgreSQL refuses to run as root: a root start gives it to another user, and to no more of root's power than it takes to
 * reach its own files.
 */
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";

export class EmbeddedPostgresError extends Error {}

/** The user a root start hands PostgreSQL to, and whether it needs help to reach its own files. */
export interface As {
	readonly uid: number;
	readonly gid: number;
	/** A capability for `setpriv`, when the clone or the data lies where only root may enter. */
	readonly capability: string | undefined;
}

export function chooseUser(dataDir: string, binaries: string): As | undefined {
	if (process.getuid?.() !== 0) return undefined;
	const users = new Map(
		readFileSync("/etc/passwd", "utf8")
			.split("\n")
			.map((line) => {
				const [name = "", , uid, gid] = line.split(":");
				return [name, { uid: Number(uid), gid: Number(gid) }] as const;
			}),
	);
	const user = users.get("postgres") ?? users.get("nobody");
	if (user === undefined)
		throw new EmbeddedPostgresError(
			"PostgreSQL will not run as root, and there is neither a user postgres nor nobody. Start as an ordinary user, or set DATABASE_URL.",
		);
	mkdirSync(dataDir, { recursive: true, mode: 0o711 });
	const reachable = [dataDir, binaries].every((path) => mayEnter(path, user));
	return { ...user, capability: reachable ? undefined : searchCapability() };
}

/** Whether every directory on the way lets `user` pass. */
function mayEnter(path: string, user: { uid: number; gid: number }): boolean {
	for (let at = path; ; at = dirname(at)) {
		const { uid, gid, mode } = statSync(at);
		const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
		if ((mode & bit) === 0) return false;
		if (at === dirname(at)) return true;
	}
}

/**
 * In a place only root may enter (its home), PostgreSQL keeps its own user and gets the one capability to
 * pass directories; only root could give it. Containers often lack the narrow one but have the wider.
 */
function searchCapability(): string {
	const bounding = BigInt(
		`0x${/^CapBnd:\s*([0-9a-f]+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0"}`,
	);
	const capability =
		(bounding & (1n << 2n)) !== 0n
			? "dac_read_search"
			: (bounding & (1n << 1n)) !== 0n
				? "dac_override"
				: undefined;
	if (
		capability === undefined ||
		!["/usr/bin/setpriv", "/bin/setpriv"].some((path) => existsSync(path))
	)
		throw new EmbeddedPostgresError(
			"PostgreSQL will not run as root, and its own user may not enter this directory. Move the clone and WAXWING_DATA_DIR to a place that others may enter (such as /opt), start as an ordinary user, or set DATABASE_URL.",
		);
	return capability;
}

/** The command as the right user; its environment is empty, so no secret of ours is inherited. */
export function commandAs(
	program: string,
	args: readonly string[],
	as: As | undefined,
): [string, string[], { uid?: number; gid?: number; env: Record<string, string> }] {
	const env = { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };
	if (as === undefined) return [program, [...args], { env }];
	if (as.capability === undefined) return [program, [...args], { uid: as.uid, gid: as.gid, env }];
	const cap = `+${as.capability}`;
	return [
		"setpriv",
		[
			`--reuid=${as.uid}`,
			`--regid=${as.gid}`,
			"--clear-groups",
			// PostgreSQL asks access(2) about its files, which forgets capabilities across a change of user.
			"--securebits=+no_setuid_fixup",
			`--inh-caps=${cap}`,
			`--ambient-caps=${cap}`,
			program,
			...args,
		],
		{ env },
	];
}
