/** Pool and session against an independent SMSC, npm `smpp`'s server, plain and over TLS. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { systemClock } from "#platform/clock.ts";
import { seededRandom } from "#platform/ids.ts";
import type { DeliverSm } from "./pdu.ts";
import { createSmppPool, type SmppPool, type SmppRoute } from "./pool.ts";
import { message, routeTo, until } from "./test-peer.ts";
import { tags, tlvText } from "./tlv.ts";

type TheirPdu = Record<string, unknown> & { response(fields?: object): TheirPdu };
interface TheirSession {
	on(event: string, listener: (pdu: TheirPdu) => void): void;
	send(pdu: TheirPdu): void;
	deliver_sm(fields: object, answered: (pdu: TheirPdu) => void): void;
	unbind(answered?: (pdu: TheirPdu) => void): void;
	close(): void;
}
const smpp = createRequire(import.meta.url)("smpp") as {
	createServer(options: object, listener: (session: TheirSession) => void): Server;
};

interface Theirs {
	readonly server: Server;
	readonly port: number;
	readonly seen: TheirPdu[];
	readonly sessions: TheirSession[];
}

async function theirServer(tls: object = {}): Promise<Theirs> {
	const seen: TheirPdu[] = [];
	const sessions: TheirSession[] = [];
	const server = smpp.createServer(tls, (session) => {
		sessions.push(session);
		session.on("pdu", (pdu) => void seen.push(pdu));
		session.on("error", () => {});
		session.on("bind_transceiver", (pdu) => {
			const known = pdu["system_id"] === "waxwing" && pdu["password"] === "secret";
			session.send(pdu.response({ command_status: known ? 0 : 0x0e, system_id: "them" }));
		});
		session.on("submit_sm", (pdu) =>
			session.send(pdu.response({ message_id: `theirs-${String(pdu["sequence_number"])}` })),
		);
		session.on("enquire_link", (pdu) => session.send(pdu.response()));
		session.on("unbind", (pdu) => {
			session.send(pdu.response());
			session.close();
		});
	});
	server.on("tlsClientError", () => {});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	return { server, port: (server.address() as AddressInfo).port, seen, sessions };
}

function open(
	theirs: Theirs,
	route: Partial<SmppRoute> = {},
	onDeliver: (pdu: DeliverSm) => void = () => {},
): SmppPool {
	return createSmppPool({
		routeId: "r1",
		route: routeTo(theirs.port, route),
		clock: systemClock,
		random: seededRandom(5),
		onDeliver: async ({ pdu }) => onDeliver(pdu),
	});
}

test("bind, submit, receipt, enquire_link and unbind with npm smpp's server", async () => {
	const theirs = await theirServer();
	const delivered: DeliverSm[] = [];
	const pool = open(theirs, { timers: { enquireLinkMs: 50 } }, (pdu) => void delivered.push(pdu));
	await until(() => pool.state().state === "bound");
	const outcome = await pool.submit(
		message(2, {
			dlt: { entityId: "1701172974420810001", templateId: "1107161951486743588", chainHash: "" },
		}),
	);
	assert.equal(outcome.kind, "accepted");
	assert.ok(
		outcome.kind === "accepted" && outcome.carrierIds.every((id) => id.startsWith("theirs-")),
	);
	const submits = theirs.seen.filter((pdu) => pdu["command"] === "submit_sm");
	assert.deepEqual(
		submits.map((pdu) => [pdu["destination_addr"], pdu["source_addr"], pdu["registered_delivery"]]),
		submits.map(() => ["919812345678", "WAXWNG", 1]),
	);
	assert.deepEqual(
		submits.map((pdu) => String(pdu[0x1400])),
		Array(2).fill("1701172974420810001"),
	);
	const [first] = submits as unknown as [{ short_message?: { udh: Buffer[]; message: string } }];
	assert.equal(first.short_message?.udh[0]?.toString("hex", 0, 2), "0804");
	assert.match(first.short_message?.message ?? "", /part 1$/);

	const answered = new Promise<TheirPdu>((resolve) =>
		theirs.sessions[0]?.deliver_sm(
			{
				source_addr: "919812345678",
				destination_addr: "WAXWNG",
				esm_class: 4,
				short_message: "id:theirs-2 stat:DELIVRD",
				receipted_message_id: "theirs-2",
				message_state: 2,
			},
			resolve,
		),
	);
	assert.equal((await answered)["command_status"], 0);
	assert.equal(delivered[0]?.shortMessage.toString(), "id:theirs-2 stat:DELIVRD");
	assert.equal(tlvText(delivered[0]?.tlvs ?? [], tags.receipted_message_id), "theirs-2");
	await until(() => theirs.seen.some((pdu) => pdu["command"] === "enquire_link"));
	assert.equal(pool.state().state, "bound");
	await pool.stop(1_000);
	assert.equal(theirs.seen.at(-1)?.["command"], "unbind");
	assert.equal(pool.state().counts.protocolErrors, 0);
	theirs.server.close();
});

test("npm smpp's server unbinds us: we answer and come back", async () => {
	const theirs = await theirServer();
	const pool = open(theirs);
	await until(() => pool.state().state === "bound");
	const answered = new Promise<TheirPdu>((resolve) => theirs.sessions[0]?.unbind(resolve));
	assert.equal((await answered)["command"], "unbind_resp");
	await until(() => theirs.sessions.length === 2 && pool.state().state === "bound");
	await pool.stop(500);
	theirs.server.close();
});

test("a thousand messages in a window of fifty", async () => {
	const theirs = await theirServer();
	const pool = open(theirs, { window: 50 });
	await until(() => pool.state().state === "bound");
	const outcomes = await Promise.all(Array.from({ length: 1_000 }, () => pool.submit(message())));
	assert.equal(
		new Set(outcomes.flatMap((outcome) => (outcome.kind === "accepted" ? outcome.carrierIds : [])))
			.size,
		1_000,
	);
	await pool.stop(500);
	theirs.server.close();
});

const openssl = spawnSync("openssl", ["version"]).status === 0;

describe("over TLS", { skip: openssl ? false : "openssl is not installed" }, () => {
	const certify = (): { key: string; cert: string } => {
		const folder = mkdtempSync(join(tmpdir(), "waxwing-smpp-"));
		const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
		try {
			execFileSync(
				"openssl",
				[
					"req",
					"-x509",
					"-newkey",
					"ec",
					"-pkeyopt",
					"ec_paramgen_curve:prime256v1",
					"-nodes",
					"-keyout",
					key,
					"-out",
					cert,
					"-days",
					"2",
					"-subj",
					"/CN=smsc.test",
					"-addext",
					"subjectAltName=DNS:smsc.test",
				],
				{ stdio: "ignore" },
			);
			return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
		} finally {
			rmSync(folder, { recursive: true });
		}
	};

	test("binds when the certificate is the one it trusts, and not otherwise", async () => {
		const { key, cert } = certify();
		const theirs = await theirServer({ key, cert });
		const trusted = open(theirs, { tls: { ca: cert, serverName: "smsc.test" } });
		await until(() => trusted.state().state === "bound");
		assert.equal((await trusted.submit(message())).kind, "accepted");
		await trusted.stop(500);

		for (const [tls, failure] of [
			[{}, "DEPTH_ZERO_SELF_SIGNED_CERT"],
			[{ ca: cert, serverName: "other.test" }, "ERR_TLS_CERT_ALTNAME_INVALID"],
			[{ ca: cert }, "ERR_TLS_CERT_ALTNAME_INVALID"],
		] as const) {
			const wary = open(theirs, { tls });
			await until(() => wary.state().binds[0]?.lastFailure === failure, failure);
			await wary.stop(0);
		}
		assert.equal(
			theirs.seen.filter((pdu) => pdu["command"] === "bind_transceiver").length,
			1,
			"no credentials went to the wrong peer",
		);
		theirs.server.close();
	});
});
