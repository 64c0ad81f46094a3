/**
 * Writes what is generated from the code: openapi.json from the routes, the configuration page from the
 * settings, the errors page from the catalogue. `--check` writes nothing and fails when a file differs.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { settings } from "#platform/config.ts";
import { catalogue } from "#platform/errors.ts";
import { openApiOf } from "#platform/http-openapi.ts";
import { declaredRoutes, openApiInfo } from "#processes/routes.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

function openApi(): string {
	return `${JSON.stringify(openApiOf(declaredRoutes(), openApiInfo), undefined, "\t")}\n`;
}

/** Text that may stand in a cell of a Markdown table. */
function cell(text: string): string {
	return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

function configurationPage(): string {
	const rows = Object.entries(settings).map(([name, { kind, fallback, says }]) => {
		const preset = fallback === undefined || fallback === "" ? "" : `\`${fallback}\``;
		return `| \`${name}\` | ${kind} | ${preset} | ${cell(says)} |`;
	});
	return `# Configuration

Settings are environment variables, read once at start. A name that starts with \`WAXWING_\` and is not
listed here is refused. A setting of kind *secret* may be given as a file: \`NAME_FILE\` holds its path.

| Setting | Kind | Default | What it does |
| --- | --- | --- | --- |
${rows.join("\n")}

Generated from \`server/platform/config.ts\` by \`npm run generate\`.
`;
}

function errorsPage(): string {
	const rows = Object.entries(catalogue).map(
		([name, { code, status, type, message, remedy, retry }]) =>
			`| \`${code}\` | ${status} | \`${name}\` | \`${type}\` | ${cell(message)} | ${cell(remedy)} | ${retry ? "yes" : "no"} |`,
	);
	return `# Errors

Every failure is answered with its status and this body:

\`\`\`json
{
	"error": {
		"code": "W01005",
		"type": "validation_error",
		"name": "validation_failed",
		"message": "to must be an E.164 number",
		"doc_url": "/docs/errors#W01005",
		"request_id": "req_01k…",
		"param": "to",
		"remediation": "Correct the parameters listed in details.",
		"details": [{ "param": "to", "message": "to must be an E.164 number" }],
		"retryable": false
	}
}
\`\`\`

\`code\` and \`name\` are stable. \`param\` and \`details\` are there when a parameter is to blame. When
\`retryable\` is true the same request may succeed later; wait as long as \`Retry-After\` says if it is there.

| Code | Status | Name | Type | What happened | What to do | Retry |
| --- | --- | --- | --- | --- | --- | --- |
${rows.join("\n")}

Generated from \`server/platform/errors.ts\` by \`npm run generate\`.
`;
}

function main(): void {
	const checking = process.argv.includes("--check");
	const files: [path: string, make: () => string][] = [
		["docs/operations/configuration.md", configurationPage],
		["docs/guides/errors.md", errorsPage],
		["openapi.json", openApi],
	];
	const stale: string[] = [];
	for (const [path, make] of files) {
		const text = make();
		const target = join(root, path);
		if (existsSync(target) && readFileSync(target, "utf8") === text) continue;
		stale.push(path);
		if (checking) continue;
		mkdirSync(dirname(target), { recursive: true });
		writeFileSync(target, text);
	}
	if (stale.length === 0) return;
	process.stdout.write(
		`${checking ? "Stale; run `npm run generate`" : "Written"}: ${stale.join(", ")}\n`,
	);
	if (checking) process.exitCode = 1;
}

main();
