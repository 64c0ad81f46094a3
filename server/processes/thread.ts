/**
 * The thread of the half that sends, seen from the one that accepts: started early, so that its modules load while
 * the database comes up; told to open when it is there. If it ends by itself, the process cannot go on.
 */
import { Worker } from "node:worker_threads";
import type { RouteEntry, ToAccepting, ToSending } from "#messages/index.ts";
import { type Config, ConfigError, type KeySettings } from "#platform/config.ts";
import { Secret } from "#platform/hidden.ts";
import { UncleanStop } from "#platform/unclean-stop.ts";
import type { Place } from "./database.ts";

/** To the thread. */
export type Order =
	| {
			readonly kind: "open";
			readonly place: Place;
			readonly alone: boolean;
	  }
	| { readonly kind: "metrics" }
	| { readonly kind: "stop"; readonly withinMs: number | undefined }
	| ToSending;

/** From the thread. */
export type Report =
	| ({ readonly kind: "open" } & Opened)
	| { readonly kind: "failed"; readonly why: string; readonly isConfig: boolean }
	| { readonly kind: "metrics"; readonly text: string }
	| { readonly kind: "stop"; readonly unclean: string | undefined }
	| ToAccepting;

export interface Opened {
	readonly owner: string;
	readonly smscPort: number;
	readonly routes: readonly RouteEntry[];
}

export interface SendingThread {
	open(place: Place, alone: boolean): Promise<Opened>;
	post(message: ToSending): void;
	/** What came before there was a listener is given to the first. */
	onMessage(listener: (message: ToAccepting) => void): void;
	metrics(): Promise<string>;
	/** Resolves with a sentence if the thread ends by itself. */
	readonly ended: Promise<string>;
	/** As the half that sends does; throws UncleanStop too. */
	stop(withinMs?: number): Promise<void>;
}

const metricsMs = 2_000;

export function startSendingThread(config: Config): SendingThread {
	const worker = new Worker(new URL("./sending-thread.ts", import.meta.url), {
		workerData: packConfig(config),
	});
	const heard = heldUntilHeard<ToAccepting>();
	const waiting = new Map<string, (report: Report) => void>();
	worker.on("message", (report: Report) => {
		if (report.kind === "left" || report.kind === "lanes") return heard.say(report);
		const kinds = report.kind === "failed" ? ["open", "stop"] : [report.kind];
		for (const kind of kinds) {
			waiting.get(kind)?.(report);
			waiting.delete(kind);
		}
	});
	let stopping: Promise<void> | undefined;
	const ended = endOf(worker, () => stopping !== undefined);
	const tell = (order: Order): void => worker.postMessage(order, []);
	const ask = async (order: Order): Promise<Report> => {
		const answer = new Promise<Report>((resolve) => void waiting.set(order.kind, resolve));
		tell(order);
		const failed = ended.then((why): Report => ({ kind: "failed", why, isConfig: false }));
		return Promise.race([answer, failed]);
	};
	const stop = async (withinMs: number | undefined): Promise<void> => {
		const report = await ask({ kind: "stop", withinMs });
		await worker.terminate();
		if (report.kind === "failed") throw new Error(report.why);
		if (report.kind === "stop" && report.unclean !== undefined)
			throw new UncleanStop(report.unclean);
	};
	return {
		ended,
		post: tell,
		onMessage: heard.hear,
		async open(place, alone) {
			const report = await ask({ kind: "open", place, alone });
			if (report.kind === "open") return report;
			const { why, isConfig } = report as Extract<Report, { kind: "failed" }>;
			throw isConfig ? new ConfigError(why) : new Error(why);
		},
		async metrics() {
			const late = new Promise<undefined>(
				(resolve) => void setTimeout(resolve, metricsMs, undefined).unref(),
			);
			const report = await Promise.race([ask({ kind: "metrics" }), late]);
			return report?.kind === "metrics" ? report.text : "";
		},
		stop: (withinMs) => (stopping ??= stop(withinMs)),
	};
}

/** What is said before anybody listens is kept for the first who does. */
export function heldUntilHeard<T>() {
	const early: T[] = [];
	let listener = (message: T): void => void early.push(message);
	return {
		say: (message: T): void => listener(message),
		hear(next: (message: T) => void): void {
			listener = next;
			for (const message of early.splice(0)) next(message);
		},
	};
}

/** Resolves when the thread fails, or ends without having been told to. */
function endOf(worker: Worker, isStopping: () => boolean): Promise<string> {
	return new Promise((resolve) => {
		worker.on("error", (error) => {
			const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
			resolve(`The thread that sends has failed: ${why}`);
		});
		worker.on("exit", (code) => {
			if (!isStopping()) resolve(`The thread that sends has ended with status ${code}.`);
		});
	});
}

/** Secrets do not pass from thread to thread as they are. Both threads are of one process: it holds them anyway. */
interface PackedConfig {
	readonly config: object;
	readonly keys: object;
}
const secretNames = ["databaseUrl", "devSmsc"] as const;
const keySecretNames = ["rootKey", "passphrase", "credential"] as const;

function packConfig(config: Config): PackedConfig {
	return { config: pack(config, secretNames), keys: pack(config.keys, keySecretNames) };
}

export function unpackConfig(packed: PackedConfig): Config {
	const config = unpack(packed.config as Config, secretNames);
	return { ...config, keys: unpack(packed.keys as KeySettings, keySecretNames) };
}

function pack<T extends object>(settings: T, names: readonly (keyof T & string)[]): object {
	const texts = names.map((name) => [name, (settings[name] as Secret | undefined)?.reveal()]);
	return { ...settings, keys: undefined, ...Object.fromEntries(texts) };
}

function unpack<T extends object>(packed: T, names: readonly (keyof T & string)[]): T {
	const secrets = names.map((name) => {
		const text = packed[name];
		return [name, typeof text === "string" ? new Secret(text) : undefined];
	});
	return { ...packed, ...Object.fromEntries(secrets) };
}
