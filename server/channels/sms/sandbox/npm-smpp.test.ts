import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { systemClock } from "#platform/clock.ts";
import { systemRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { longReply, type Sandbox, startSandbox } from "./index.ts";

// Somebody else's client: what it can bind to, submit to and understand is SMPP and not our habit.
interface NpmPdu {
	command: string;
	command_status: number;
	message_id: string;
	esm_class: number;
	source_addr: string;
	destination_addr: string;
	receipted_message_id?: string;
	message_state?: number;
	short_message: { message: string | Buffer; udh?: Buffer[] };
	response(fields?: object): NpmPdu;
}
interface NpmSession {
	on(event: string, act: (pdu: NpmPdu) => void): void;
	send(pdu: NpmPdu): void;
	close(): void;
	bind_transceiver(fields: object, act: (pdu: NpmPdu) => void): void;
	submit_sm(fields: object, act: (pdu: NpmPdu) => void): void;
	enquire_link(fields: object, act: (pdu: NpmPdu) => void): void;
	query_sm(fields: object, act: (pdu: NpmPdu) => void): void;
	unbind(fields: object, act: (pdu: NpmPdu) => void): void;
}
const smpp = createRequire(import.meta.url)("smpp") as {
	connect(options: object): NpmSession;
};

let sandbox: Sandbox;
before(async () => {
	sandbox = await startSandbox({
		host: "127.0.0.1",
		port: 0,
		clock: systemClock,
		random: systemRandom(),
		log: silentLog,
		accounts: [{ systemId: "waxwing", password: "sandbox" }],
	});
});
after(() => sandbox.stop(500));

interface Client {
	session: NpmSession;
	deliveries: NpmPdu[];
}

function bound(): Promise<Client> {
	return new Promise((resolve, reject) => {
		const session = smpp.connect({
			url: `smpp://127.0.0.1:${sandbox.port}`,
			auto_enquire_link_period: 0,
		});
		const deliveries: NpmPdu[] = [];
		session.on("error", reject);
		session.on("deliver_sm", (pdu) => {
			deliveries.push(pdu);
			session.send(pdu.response());
		});
		session.bind_transceiver({ system_id: "waxwing", password: "sandbox" }, (pdu) =>
			pdu.command_status === 0
				? resolve({ session, deliveries })
				: reject(new Error("bind refused")),
		);
	});
}

const ask = (
	session: NpmSession,
	command: "submit_sm" | "enquire_link" | "query_sm" | "unbind",
	fields: object,
): Promise<NpmPdu> => new Promise((resolve) => session[command](fields, resolve));
const submit = (session: NpmSession, to: string): Promise<NpmPdu> =>
	ask(session, "submit_sm", {
		source_addr: "WAXWNG",
		destination_addr: to,
		short_message: "Hello €",
		registered_delivery: 1,
	});
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test("binds, submits, and reads the receipt in text and TLVs", async () => {
	const { session, deliveries } = await bound();
	const answer = await submit(session, "919876543210");
	assert.equal(answer.command_status, 0);
	await pause(150);
	assert.equal(deliveries.length, 1);
	const [receipt] = deliveries as [NpmPdu];
	assert.deepEqual(
		[receipt.esm_class, receipt.source_addr, receipt.destination_addr],
		[4, "919876543210", "WAXWNG"],
	);
	assert.deepEqual([receipt.receipted_message_id, receipt.message_state], [answer.message_id, 2]);
	const text = receipt.short_message.message.toString();
	assert.ok(text.startsWith(`id:${answer.message_id} sub:001 dlvrd:001 submit date:`), text);
	assert.match(text, /done date:\d{10} stat:DELIVRD err:000 text:$/);
	session.close();
});

test("is refused, throttled twice and let through", async () => {
	const { session } = await bound();
	assert.equal((await submit(session, "919876000010")).command_status, 0x0b);
	const statuses: number[] = [];
	for (let i = 0; i < 3; i++) statuses.push((await submit(session, "919876000020")).command_status);
	assert.deepEqual(statuses, [0x58, 0x58, 0]);
	// A receipt that finds nobody waits for the next session, which is another test's.
	await pause(150);
	session.close();
});

test("hears a person: STOP, and a long text in UCS-2 parts", async () => {
	const { session, deliveries } = await bound();
	await submit(session, "919876000050");
	await pause(250);
	assert.equal(deliveries.length, 2);
	assert.equal(deliveries[1]?.short_message.message, "STOP");
	deliveries.length = 0;
	await submit(session, "919876000053");
	await pause(250);
	const parts = deliveries.slice(1);
	assert.deepEqual(
		parts.map((pdu) => [...(pdu.short_message.udh?.[0] ?? [])].slice(-2)),
		[
			[3, 1],
			[3, 2],
			[3, 3],
		],
	);
	assert.equal(parts.map((pdu) => pdu.short_message.message.toString()).join(""), longReply);
	session.close();
});

test("keeps the link alive, is told what is not served, and unbinds", async () => {
	const { session } = await bound();
	assert.equal((await ask(session, "enquire_link", {})).command_status, 0);
	assert.equal(
		(await ask(session, "query_sm", { message_id: "1", source_addr: "x" })).command_status,
		3,
	);
	assert.equal((await ask(session, "unbind", {})).command_status, 0);
	session.close();
});
