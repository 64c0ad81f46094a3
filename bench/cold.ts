/**
 * `npm run bench -- cold [--rounds N] [--note TEXT]`: from `npm start` to ready (GET /healthz answers 200) and to the first
 * message delivered by the sandbox carrier; packages are installed. On an empty data directory, where PostgreSQL
 * has to be made first, and on one that was used before. Prints medians, and what making a thousand files took in each
 * round: a new database is some 1,300 of them, and file systems differ in that by a factor of twenty.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { medianOf, print, record } from "./journal.ts";
import { type DevelopmentFile, inherited, makeDataDir, pause, removeDataDir } from "./product.ts";
import { monotonicMs } from "./sink.ts";

const { values } = parseArgs({
	allowPositionals: true,
	options: { rounds: { type: "string", default: "3" }, note: { type: "string" } },
});
const root = fileURLToPath(new URL("..", import.meta.url));

interface Start {
	readonly readySeconds: number;
	readonly deliveredSeconds: number;
}

const first: Start[] = [];
const again: Start[] = [];
const files: number[] = [];
for (let round = 0; round < Number(values.rounds); round++) {
	const dataDir = makeDataDir();
	try {
		files.push(secondsOfFiles(dataDir));
		first.push(await startOnce(dataDir));
		again.push(await startOnce(dataDir));
	} finally {
		removeDataDir(dataDir);
	}
}
const summary = { first: mediansOf(first), again: mediansOf(again) };
for (const [name, { readySeconds, deliveredSeconds }] of Object.entries(summary))
	print(
		`${name === "first" ? "first start" : "later starts"}: ready after ${readySeconds.toFixed(2)} s, first message delivered after ${deliveredSeconds.toFixed(2)} s`,
	);
print(`a thousand files, each round: ${files.map((seconds) => seconds.toFixed(2)).join(", ")} s`);
record("cold", { note: values.note, ...summary, files, starts: { first, again } });

/** To make a thousand files beside the data directory's own. */
function secondsOfFiles(dataDir: string): number {
	const folder = mkdtempSync(join(dataDir, "files-"));
	const beganMs = monotonicMs();
	for (let i = 0; i < 1_000; i++) writeFileSync(join(folder, String(i)), "");
	const seconds = (monotonicMs() - beganMs) / 1_000;
	rmSync(folder, { recursive: true });
	return seconds;
}

function mediansOf(starts: readonly Start[]): Start {
	return {
		readySeconds: medianOf(starts.map((one) => one.readySeconds)),
		deliveredSeconds: medianOf(starts.map((one) => one.deliveredSeconds)),
	};
}

async function startOnce(dataDir: string): Promise<Start> {
	const devFile = join(dataDir, "dev.json");
	const before = existsSync(devFile) ? statSync(devFile).mtimeMs : 0;
	const beganMs = monotonicMs();
	const since = (): number => (monotonicMs() - beganMs) / 1_000;
	const child = spawn("npm", ["start"], {
		cwd: root,
		// A group of its own, so that Ctrl-C reaches all of it as from a terminal.
		detached: true,
		stdio: "ignore",
		env: { ...inherited(), WAXWING_DATA_DIR: dataDir, WAXWING_PORT: "0" },
	});
	const exited = once(child, "exit");
	try {
		while (!existsSync(devFile) || statSync(devFile).mtimeMs <= before) await patience(since);
		const dev = JSON.parse(readFileSync(devFile, "utf8")) as DevelopmentFile;
		while (!(await isReady(dev.baseUrl))) await patience(since);
		const readySeconds = since();
		const { id } = await call(dev, "/v1/sms/messages", dev.samples.transactional);
		while ((await call(dev, `/v1/sms/messages/${String(id)}`))["status"] !== "delivered")
			await patience(since);
		return { readySeconds, deliveredSeconds: since() };
	} finally {
		if (child.pid !== undefined) process.kill(-child.pid, "SIGINT");
		await exited;
	}
}

async function isReady(baseUrl: string): Promise<boolean> {
	try {
		return (await fetch(`${baseUrl}/healthz`)).ok;
	} catch {
		return false;
	}
}

async function patience(since: () => number): Promise<void> {
	if (since() > 60) throw new Error("not within a minute");
	await pause(5);
}

async function call(
	{ baseUrl, apiKey }: DevelopmentFile,
	path: string,
	body?: object,
): Promise<Record<string, unknown>> {
	const response = await fetch(`${baseUrl}${path}`, {
		headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
		...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
	});
	return (await response.json()) as Record<string, unknown>;
}
