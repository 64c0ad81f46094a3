/**
 * Starts the whole product as a child process on a data directory of its own, as `npm start` does, and
 * waits until it is ready. For measurements and fault tests; never in the product's own process.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const mains = fileURLToPath(new URL("../server/processes/", import.meta.url));

export interface DevelopmentFile {
	readonly baseUrl: string;
	readonly apiKey: string;
	readonly otherTenant: { readonly apiKey: string };
	readonly operatorKey: string;
	readonly samples: Readonly<
		Record<"transactional" | "authentication" | "promotional", Readonly<Record<string, unknown>>>
	>;
}

export interface ProductOptions {
	readonly dataDir: string;
	/** The port of an SMSC on loopback that becomes the live route. */
	readonly smscPort?: number;
	readonly window?: number;
	readonly env?: Readonly<Record<string, string>>;
	readonly nodeArgs?: readonly string[];
	/** `api`: accepts only, over the database of DATABASE_URL; workers send. `all` unless told. */
	readonly role?: "all" | "api";
}

export interface Product {
	readonly child: ChildProcess;
	readonly dataDir: string;
	readonly dev: DevelopmentFile;
	readonly port: number;
	/** All it has written, for when something is wrong. */
	output(): string;
	/** Sends the signal and resolves with the exit code, or the signal that ended it. */
	end(signal: NodeJS.Signals): Promise<number | string>;
}

export function makeDataDir(): string {
	return mkdtempSync(join(tmpdir(), "waxwing-run-"));
}

export function removeDataDir(dataDir: string): void {
	rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
}

export class ProductDidNotStart extends Error {
	readonly exit: number | string | undefined;
	constructor(message: string, exit: number | string | undefined) {
		super(message);
		this.exit = exit;
	}
}

export async function startProduct(options: ProductOptions): Promise<Product> {
	const { dataDir, role = "all" } = options;
	const devFile = join(dataDir, "dev.json");
	const before = existsSync(devFile) ? statSync(devFile).mtimeMs : 0;
	const { child, output, exited } = startChild(role, options);
	let exit: number | string | undefined;
	void exited.then((how) => void (exit = how));
	for (const until = performance.now() + 60_000; ; await pause(20)) {
		if (exit !== undefined)
			throw new ProductDidNotStart(
				`the product ended (${exit}) instead of starting:\n${output()}`,
				exit,
			);
		if (performance.now() > until) {
			child.kill("SIGKILL");
			throw new ProductDidNotStart(
				`the product was not ready within a minute:\n${output()}`,
				undefined,
			);
		}
		if (!existsSync(devFile) || statSync(devFile).mtimeMs <= before) continue;
		const dev = JSON.parse(readFileSync(devFile, "utf8")) as DevelopmentFile;
		if (!(await isReady(dev.baseUrl))) continue;
		return {
			child,
			dataDir,
			dev,
			port: Number(new URL(dev.baseUrl).port),
			output,
			end(signal) {
				child.kill(signal);
				return exited;
			},
		};
	}
}

export interface WorkerProcess {
	readonly child: ChildProcess;
	output(): string;
	end(signal: NodeJS.Signals): Promise<number | string>;
}

/** A process that only sends; resolves when it is up. It shares the data directory's root key with the API's process. */
export async function startWorker(options: ProductOptions): Promise<WorkerProcess> {
	const { child, output, exited } = startChild("worker", options);
	const end = (signal: NodeJS.Signals): Promise<number | string> => {
		child.kill(signal);
		return exited;
	};
	for (
		const until = performance.now() + 60_000;
		!output().includes("A worker for");
		await pause(20)
	)
		if (child.exitCode !== null || performance.now() > until) {
			child.kill("SIGKILL");
			throw new ProductDidNotStart(
				`the worker did not start:\n${output()}`,
				child.exitCode ?? undefined,
			);
		}
	return { child, output, end };
}

interface Child {
	readonly child: ChildProcess;
	output(): string;
	readonly exited: Promise<number | string>;
}

function startChild(role: "all" | "api" | "worker", options: ProductOptions): Child {
	const { dataDir, smscPort, window = 500, env = {}, nodeArgs = [] } = options;
	const smsc =
		smscPort === undefined
			? {}
			: { WAXWING_DEV_SMSC: `smpp://bench:bench@127.0.0.1:${smscPort}?window=${window}&tps=0` };
	const args = [
		"--max-semi-space-size=64",
		"--heap-growing-percent=200",
		...nodeArgs,
		join(mains, `${role}.ts`),
	];
	const child = spawn(process.execPath, args, {
		stdio: ["ignore", "pipe", "pipe"],
		env: {
			...inherited(),
			WAXWING_DATA_DIR: dataDir,
			WAXWING_PORT: "0",
			WAXWING_LOG_LEVEL: "warn",
			...smsc,
			...env,
		},
	});
	let output = "";
	for (const stream of [child.stdout, child.stderr])
		stream
			?.setEncoding("utf8")
			.on("data", (text: string) => void (output = (output + text).slice(-3_000_000)));
	const exited = new Promise<number | string>(
		(resolve) => void child.once("exit", (code, signal) => resolve(code ?? signal ?? "")),
	);
	return { child, output: () => output, exited };
}

/** Settings of the caller's own must not reach the product. */
export function inherited(): Record<string, string> {
	const kept = Object.entries(process.env).filter(
		([name]) =>
			!name.startsWith("WAXWING_") && name !== "DATABASE_URL" && !name.startsWith("NODE_"),
	);
	return Object.fromEntries(kept) as Record<string, string>;
}

async function isReady(baseUrl: string): Promise<boolean> {
	try {
		return (await fetch(`${baseUrl}/healthz`)).status === 200;
	} catch {
		return false;
	}
}

export function pause(ms: number): Promise<void> {
	return new Promise((resolve) => void setTimeout(resolve, ms));
}
