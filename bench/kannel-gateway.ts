/**
 * Kannel 1.4.5 (Debian's package `kannel`) as a peer to measure against: bearerbox and smsbox with a
 * configuration in a temporary folder, HTTP sendsms in, SMPP out. Installs nothing.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pause } from "./product.ts";

export interface Kannel {
	/** Where sendsms listens. */
	readonly port: number;
	stop(): Promise<void>;
}

/** What is missing to run it, as a sentence; undefined when nothing is. */
export function kannelMissing(): string | undefined {
	const missing = ["bearerbox", "smsbox"].filter(
		(name) => spawnSync("which", [name], { env: searchPath }).status !== 0,
	);
	return missing.length === 0
		? undefined
		: `${missing.join(" and ")} not found: install Debian's package kannel (apt-get install kannel).`;
}

const searchPath = { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin` };

/** The setting of its own documentation for durability: one file per message in a spool folder. */
function configuration(folder: string, smscPort: number, ports: readonly number[]): string {
	const [admin, boxes, sendsms] = ports;
	return `
group = core
admin-port = ${admin}
admin-interface = 127.0.0.1
admin-password = bench
smsbox-port = ${boxes}
smsbox-interface = 127.0.0.1
store-type = spool
store-location = ${join(folder, "spool")}
log-file = ${join(folder, "bearerbox.log")}
log-level = 3

group = smsc
smsc = smpp
smsc-id = sink
host = 127.0.0.1
port = ${smscPort}
transceiver-mode = true
smsc-username = bench
smsc-password = bench
system-type = ""
max-pending-submits = 200

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = ${sendsms}
sendsms-interface = 127.0.0.1
global-sender = 13013
log-file = ${join(folder, "smsbox.log")}
log-level = 3

group = sendsms-user
username = bench
password = bench
`;
}

export async function startKannel(smscPort: number): Promise<Kannel> {
	const folder = mkdtempSync(join(tmpdir(), "waxwing-kannel-"));
	mkdirSync(join(folder, "spool"));
	const ports = await Promise.all([freePort(), freePort(), freePort()]);
	const file = join(folder, "kannel.conf");
	writeFileSync(file, configuration(folder, smscPort, ports));
	const run = (program: string): ChildProcess =>
		spawn(program, ["-v", "4", file], { env: searchPath, stdio: "ignore" });
	const bearerbox = run("bearerbox");
	await pause(1_000);
	const smsbox = run("smsbox");
	const port = ports[2] as number;
	for (let tries = 0; !(await answers(port)); tries++) {
		if (tries > 100) throw new Error("Kannel does not answer");
		await pause(100);
	}
	return {
		port,
		async stop() {
			for (const child of [smsbox, bearerbox]) {
				child.kill("SIGTERM");
				const late = setTimeout(() => child.kill("SIGKILL"), 5_000);
				if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
				clearTimeout(late);
			}
			rmSync(folder, { recursive: true, force: true });
		},
	};
}

async function answers(port: number): Promise<boolean> {
	try {
		// Without a number it sends nothing.
		return (await fetch(`http://127.0.0.1:${port}/cgi-bin/sendsms`)).status > 0;
	} catch {
		return false;
	}
}

async function freePort(): Promise<number> {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as AddressInfo;
	server.close();
	return port;
}
