/**
 * Starts the ledger's signer as a child process and starts it again when it dies. The child gets nothing of our
 * environment; what it needs it is told over the channel. While it is away entries wait, and after ten minutes
 * privileged acts stop: that is the ledger's own doing, not this file's.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { DatabaseOptions } from "#platform/db.ts";
import type { Log } from "#platform/log.ts";
import type { Metrics } from "#platform/metrics.ts";
import type { SignerNews, SignerTask } from "./ledger-signer.ts";

export interface SignerProcessParts {
	readonly dataDir: string;
	readonly database: DatabaseOptions;
	readonly name: string;
	readonly log: Log;
	readonly metrics: Metrics;
	/** How long after this call the first child starts: nobody waits for it, and a start is busy. */
	readonly afterMs?: number;
}

export interface SignerProcess {
	/** Of the present child; undefined between two. */
	pid(): number | undefined;
	/** There is something to sign: it need not wait for its next look. */
	nudge(): void;
	/** Lets it sign what is there, then ends it. */
	stop(): Promise<void>;
}

const program = fileURLToPath(new URL("./ledger-signer.ts", import.meta.url));
const restartMs = { first: 200, most: 30_000 };
const stopWithinMs = 5_000;

/** Where the signer keeps its things: back up this folder, and keep it away from the database's backups. */
export function signerPaths(dataDir: string) {
	const folder = join(dataDir, "ledger");
	return {
		keyPath: join(folder, "signer.key"),
		publicKeyPath: join(folder, "signer.pub"),
		statePath: join(folder, "signer.state"),
	};
}

export function startSigner(parts: SignerProcessParts): SignerProcess {
	const { dataDir, database, name, log, metrics } = parts;
	const task: SignerTask = { database, name, ...signerPaths(dataDir) };
	const troubled = new Set<string>();
	metrics.gauge(
		"wx_ledger_troubled_logs",
		"Logs that the signer refuses to sign: what is stored is not what was signed.",
		() => troubled.size,
	);
	let child: ChildProcess | undefined;
	let stopping = false;
	let waitMs = restartMs.first;
	let timer: NodeJS.Timeout | undefined;

	const hear = (news: SignerNews): void => {
		if (news.kind === "ready") waitMs = restartMs.first;
		if (news.kind === "trouble") troubled.add(news.ledger);
		const event = { ...news, event: `ledger.signer_${news.kind}` };
		if (news.kind === "ready") log.info(event, "the ledger's signer is ready");
		else if (news.kind === "failing") log.warn(event, "the ledger's signer cannot work");
		else log.error(event, "the ledger's signer refuses");
	};
	const start = (): void => {
		const started = spawn(process.execPath, [program], {
			env: {},
			stdio: ["ignore", "ignore", "inherit", "ipc"],
			serialization: "advanced",
		});
		child = started;
		started.on("message", hear);
		started.once("error", (err) => log.error({ event: "ledger.signer_spawn", err }, "no signer"));
		started.once("exit", (code, signal) => {
			child = undefined;
			if (stopping) return;
			log.warn({ event: "ledger.signer_ended", code, signal, waitMs }, "the signer ended");
			timer = setTimeout(start, waitMs).unref();
			waitMs = Math.min(2 * waitMs, restartMs.most);
		});
		started.send({ task }, () => undefined);
	};
	timer = setTimeout(start, parts.afterMs ?? 0).unref();
	return {
		pid: () => child?.pid,
		nudge() {
			if (child?.connected === true) child.send({ look: true }, () => undefined);
		},
		async stop() {
			stopping = true;
			clearTimeout(timer);
			const last = child;
			if (last === undefined) return;
			const gone = new Promise<void>((resolve) => void last.once("exit", () => resolve()));
			last.send({ stop: true }, () => undefined);
			const late = setTimeout(() => last.kill("SIGKILL"), stopWithinMs);
			await gone;
			clearTimeout(late);
		},
	};
}
