/** The witness, run as an auditor runs it: as a program on a folder of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../verify/waxwing-witness.mjs", import.meta.url));

export interface RunningWitness {
	readonly child: ChildProcess;
	readonly url: string;
	/** NAME+ID+BASE64, to pin. */
	readonly key: string;
	/** What it has reported so far, a JSON object a line. */
	output(): string;
	post(
		body: string,
	): Promise<{ readonly status: number; readonly type: string; readonly text: string }>;
	end(): Promise<void>;
}

export function witnessFolder(): string {
	const folder = mkdtempSync(join(tmpdir(), "waxwing-witness-"));
	after(() => rmSync(folder, { recursive: true, force: true }));
	return folder;
}

/** `log` is PREFIX=KEY. Rejects with what it says when it does not start. */
export async function startWitness(
	folder: string,
	log: string,
	{ port = 0, name = "witness.test/one" }: { port?: number; name?: string } = {},
): Promise<RunningWitness> {
	const args = [program, "--state", folder, "--name", name, "--log", log];
	const child = spawn(process.execPath, [...args, "--listen", `127.0.0.1:${port}`], {
		env: {},
		stdio: ["ignore", "pipe", "pipe"],
	});
	after(() => child.kill("SIGKILL"));
	const gone = once(child, "exit");
	let [output, errors] = ["", ""];
	child.stderr.setEncoding("utf8").on("data", (text: string) => void (errors += text));
	const ready = new Promise<void>((resolve) => {
		child.stdout.setEncoding("utf8").on("data", (text: string) => {
			output += text;
			if (output.includes("\n")) resolve();
		});
	});
	await Promise.race([ready, gone]);
	if (output === "") throw new Error(errors.trim());
	const { url, key } = JSON.parse(output.split("\n")[0] as string) as { url: string; key: string };
	return {
		child,
		url,
		key,
		output: () => output,
		async post(body) {
			const reply = await fetch(`${url}add-checkpoint`, { method: "POST", body });
			const type = reply.headers.get("content-type") ?? "";
			return { status: reply.status, type, text: await reply.text() };
		},
		async end() {
			child.kill("SIGKILL");
			await gone;
		},
	};
}
