/**
 * `npm run check`: types, lint, format, generated files and the architecture's rules. Every check runs,
 * so that one run shows everything; the output of those that fail is printed, then one line for each.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = (name: string): string => join(root, "node_modules/.bin", name);

interface Check {
	readonly name: string;
	readonly command: readonly string[];
}

interface Outcome extends Check {
	readonly passed: boolean;
	readonly seconds: number;
	readonly output: string;
}

const node = process.execPath;
/** The architecture tests that need no database; the others run with `npm test`. */
const staticRules = ["migrations", "powers", "ranks", "sources", "tidy"].map(
	(name) => `tests/architecture/${name}.test.ts`,
);
const checks: readonly Check[] = [
	{ name: "types", command: [bin("tsc"), "-p", "."] },
	{ name: "lint", command: [bin("oxlint"), "--type-aware", "--quiet"] },
	{ name: "format", command: [bin("biome"), "format", "--max-diagnostics=20", "."] },
	{ name: "generated files", command: [node, "tools/generate.ts", "--check"] },
	{ name: "architecture", command: [node, "--test", "--test-reporter=dot", ...staticRules] },
];

function run({ name, command }: Check): Promise<Outcome> {
	const [program = "", ...args] = command;
	const startedMs = performance.now();
	return new Promise((resolve) => {
		const child = spawn(program, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
		let output = "";
		const end = (passed: boolean): void => {
			const seconds = (performance.now() - startedMs) / 1_000;
			resolve({ name, command, passed, seconds, output });
		};
		for (const stream of [child.stdout, child.stderr])
			stream.setEncoding("utf8").on("data", (text: string) => {
				output += text;
			});
		child.on("error", (error) => {
			output += error.message;
			end(false);
		});
		child.on("close", (code) => end(code === 0));
	});
}

async function main(): Promise<void> {
	const chosen = process.argv.slice(2);
	const wanted = checks.filter(({ name }) => chosen.length === 0 || chosen.includes(name));
	const outcomes: Outcome[] = [];
	// One after the other: each uses every core it finds.
	for (const check of wanted) outcomes.push(await run(check));
	for (const { name, passed, output } of outcomes)
		if (!passed) process.stdout.write(`\n— ${name} —\n${output.trimEnd()}\n`);
	process.stdout.write("\n");
	for (const { name, passed, seconds } of outcomes)
		process.stdout.write(`${passed ? "ok    " : "FAILED"} ${name} (${seconds.toFixed(1)} s)\n`);
	if (wanted.length === 0 || outcomes.some(({ passed }) => !passed)) process.exitCode = 1;
}

await main();
