/**
 * Powers that belong to few files, each ban naming what to use in its place. Tests are free of them,
 * except that no test may reach beyond this machine (see tests/support).
 */
import { isTest, type Source } from "./sources.ts";

interface Power {
	readonly name: string;
	/** A module imported with effect at run time. */
	readonly imports?: RegExp;
	/** A use in code, where texts and comments are blank. */
	readonly uses?: RegExp;
	/** Paths below server/ that hold the power. */
	readonly holders: readonly RegExp[];
	readonly instead: string;
}

export const powers: readonly Power[] = [
	{
		name: "the PostgreSQL driver",
		imports: /^(pg|pg-.*|postgres|kysely)$/,
		holders: [/^platform\/db(-\w+)*\.ts$/],
		instead: "take a Tx from #platform/db.ts",
	},
	{
		name: "declaring SQL",
		uses: /(?<![\w.])sql\s*\(/,
		holders: [/(^|[/-])store\.ts$/, /^platform\/db\.ts$/, /^platform\/idempotency\.ts$/],
		instead: "put the statement in the module's store.ts",
	},
	{
		name: "sockets and HTTP",
		imports:
			/^(node:)?(net|tls|http|https|http2|dgram|dns|dns\/promises)$|^(undici|fastify|ws|axios)$/,
		uses: /(?<![\w.#])(fetch\s*\(|new\s+(WebSocket|EventSource)\b)|\bglobalThis\s*\.\s*fetch\b/,
		holders: [
			/^platform\/(egress|http)(-[\w-]+)?\.ts$/,
			/^platform\/metrics\.ts$/,
			/^channels\/sms\/(smpp|sandbox)\//,
		],
		instead: "go out through #platform/egress.ts, or declare a route with #platform/http.ts",
	},
	{
		name: "other processes and threads",
		imports: /^(node:)?(child_process|worker_threads|cluster|vm)$/,
		// Key modules are reached by a program of their own; docs/decisions says why.
		holders: [
			/^processes\//,
			/^platform\/embedded-(cluster|postgres)\.ts$/,
			/^vault\/providers\/pkcs11\.ts$/,
		],
		instead: "start it in processes/ and hand the result down",
	},
	{
		name: "the environment",
		uses: /\bprocess\s*(\?\.|\.)\s*env\b|\bprocess\s*\[/,
		imports: /^(node:)?process$/,
		holders: [/^platform\/config\.ts$/],
		instead: "add a setting to #platform/config.ts and take its value as an argument",
	},
	{
		name: "the time",
		uses: /\bDate\s*\.\s*now\b|\bnew\s+Date\s*(\(\s*\)|(?![\w\s(.]))|(?<!\bnew\s+)(?<![\w.])Date\s*\(|\bperformance\s*\.\s*now\b|\bhrtime\b/,
		imports: /^(node:)?perf_hooks$/,
		holders: [/^platform\/clock\.ts$/],
		instead: "take a Clock (#platform/clock.ts) as an argument",
	},
	{
		name: "chance",
		uses: /\bMath\s*\.\s*random\b/,
		holders: [],
		instead: "take a Random (#platform/ids.ts) as an argument",
	},
	{
		name: "cryptography",
		imports: /^(node:)?crypto$/,
		uses: /(?<![\w.])(globalThis\s*\.\s*)?crypto\s*\.\s*\w/,
		holders: [/^vault\//, /^platform\/ids\.ts$/],
		instead: "use #vault/index.ts, or Random and Ids from #platform/ids.ts",
	},
	{
		name: "the terminal",
		uses: /\bconsole\s*\.|\bprocess\s*\.\s*std(out|err)\b/,
		imports: /^(node:)?console$/,
		holders: [/^platform\/log\.ts$/],
		instead: "take a Log (#platform/log.ts), or `tell` a person at the terminal",
	},
	{
		name: "loading code by another way",
		imports: /^(node:)?module$/,
		uses: /(?<![\w.])(require\s*\(|eval\s*\(|new\s+Function\b)|\bgetBuiltinModule\b/,
		// Resolves the platform-specific package that holds the server's binaries.
		holders: [/^platform\/embedded-(cluster|postgres)\.ts$/],
		instead: "import it by name",
	},
	{
		name: "minting a Clearance",
		uses: /\bnew\s+Clearance\b/,
		holders: [/^policy\/clearance\.ts$/],
		instead: "screen the message with #policy/index.ts",
	},
];

export function powerViolations({ path, code, imports }: Source): string[] {
	if (!path.startsWith("server/") || isTest(path)) return [];
	const inside = path.slice("server/".length);
	return powers
		.filter(({ holders }) => !holders.some((holder) => holder.test(inside)))
		.filter((power) => {
			const imported = imports.some(
				({ from, typeOnly }) => !typeOnly && power.imports?.test(from) === true,
			);
			return imported || power.uses?.test(code) === true;
		})
		.map(({ name, instead }) => `${path} uses ${name}: ${instead}`);
}
