/**
 * Every audited route, driven over HTTP: a success leaves an entry of the declared type, and when the ledger
 * cannot record, the answer is 503 `audit_unavailable` and nothing has happened. A route that is declared as
 * audited and is not in the list here fails the first test.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { eventTypes } from "#audit/index.ts";
import { declaredRoutes } from "#processes/routes.ts";
import { type Client, type Reply, until } from "../support/http.ts";
import { testPlatform } from "../support/platform.ts";
import { startReceiver } from "../support/receiver.ts";

const platform = await testPlatform();
const { admin, operator, live, dev } = platform;
const receiver = await startReceiver();
const { admin: root } = platform.database;

type Method = "get" | "post" | "patch" | "delete";
interface Attempt {
	readonly by: Client;
	readonly method: Method;
	readonly path: string;
	readonly body?: object;
	/** It is on record that it was asked for, and answered that it cannot be done now. */
	readonly refused?: 409;
}

let last = 0;
const next = (): number => ++last;
const number = (): string => `+9198${String(10_000_000 + next())}`;
const make = async (by: Client, path: string, body?: object): Promise<string> => {
	const reply = await by.post(path, body);
	assert.ok(reply.status < 300, reply.text);
	return String(reply.body["id"]);
};
const endpoint = { url: receiver.url, events: ["sms.delivered"] };
const route = { environment: "live", url: "smpp://a:b@127.0.0.1:2775", countries: ["NZ"] };
const scheduled = (): object => ({
	...dev.samples.transactional,
	scheduled_at: new Date(Date.now() + 3_600_000).toISOString(),
});

/** Makes a call that will succeed; what it needs is made first. */
const attempts: Readonly<Record<string, () => Promise<Attempt> | Attempt>> = {
	"api_key.create": () => ({
		by: admin,
		method: "post",
		path: "/v1/api-keys",
		body: { name: "x", scopes: ["sms:read"] },
	}),
	"api_key.revoke": async () => {
		const id = await make(admin, "/v1/api-keys", { name: "x", scopes: ["sms:read"] });
		return { by: admin, method: "delete", path: `/v1/api-keys/${id}` };
	},
	"tenant.create": () => ({
		by: operator,
		method: "post",
		path: "/v1/operator/tenants",
		body: { name: "New" },
	}),
	"tenant.list": () => ({ by: operator, method: "get", path: "/v1/operator/tenants" }),
	"tenant.suspend": async () => {
		const id = await make(operator, "/v1/operator/tenants", { name: "Other" });
		return { by: operator, method: "post", path: `/v1/operator/tenants/${id}/suspend` };
	},
	"tenant.resume": async () => {
		const id = await make(operator, "/v1/operator/tenants", { name: "Other" });
		await make(operator, `/v1/operator/tenants/${id}/suspend`);
		return { by: operator, method: "post", path: `/v1/operator/tenants/${id}/resume` };
	},
	"route.create": () => ({
		by: operator,
		method: "post",
		path: "/v1/operator/routes",
		body: route,
	}),
	"route.list": () => ({ by: operator, method: "get", path: "/v1/operator/routes" }),
	"route.disable": async () => {
		const id = await make(operator, "/v1/operator/routes", route);
		return { by: operator, method: "delete", path: `/v1/operator/routes/${id}` };
	},
	"contact.erase": async () => {
		const destination = number();
		await make(live, "/v1/preferences", { handle: destination, channel: "sms", status: "granted" });
		return { by: admin, method: "post", path: "/v1/contacts/erasures", body: { destination } };
	},
	"keys.status": () => ({ by: operator, method: "get", path: "/v1/operator/keys" }),
	"keys.rotate": async () => {
		const tenant_id = await make(operator, "/v1/operator/tenants", { name: "Rotated" });
		return { by: operator, method: "post", path: "/v1/operator/keys/rotate", body: { tenant_id } };
	},
	"keys.destroy": () => ({
		by: operator,
		method: "post",
		path: "/v1/operator/keys/destroy",
		body: { root: "file:none" },
		refused: 409,
	}),
	recordPreference: () => ({
		by: live,
		method: "post",
		path: "/v1/preferences",
		body: { handle: number(), channel: "sms", status: "granted" },
	}),
	createSmsSuppression: () => ({
		by: live,
		method: "post",
		path: "/v1/sms/suppressions",
		body: { destination: number() },
	}),
	deleteSmsSuppression: async () => {
		const id = await make(live, "/v1/sms/suppressions", { destination: number() });
		return { by: live, method: "delete", path: `/v1/sms/suppressions/${id}` };
	},
	registerSender: () => ({
		by: admin,
		method: "post",
		path: "/v1/senders",
		body: { address: `SND${next()}`, kind: "alphanumeric" },
	}),
	deleteSender: async () => {
		const id = await make(admin, "/v1/senders", { address: `SND${next()}`, kind: "alphanumeric" });
		return { by: admin, method: "delete", path: `/v1/senders/${id}` };
	},
	updateSettings: () => ({
		by: admin,
		method: "patch",
		path: "/v1/settings",
		body: { countries: next() % 2 === 0 ? ["IN", "US"] : ["IN", "GB"] },
	}),
	createWebhook: () => ({ by: live, method: "post", path: "/v1/webhooks", body: endpoint }),
	updateWebhook: async () => {
		const id = await make(live, "/v1/webhooks", endpoint);
		return { by: live, method: "patch", path: `/v1/webhooks/${id}`, body: { status: "paused" } };
	},
	deleteWebhook: async () => {
		const id = await make(live, "/v1/webhooks", endpoint);
		return { by: live, method: "delete", path: `/v1/webhooks/${id}` };
	},
	rotateWebhookSecret: async () => {
		const id = await make(live, "/v1/webhooks", endpoint);
		return { by: live, method: "post", path: `/v1/webhooks/${id}/rotate-secret` };
	},
	testWebhook: async () => {
		const id = await make(live, "/v1/webhooks", endpoint);
		return { by: live, method: "post", path: `/v1/webhooks/${id}/test`, body: {} };
	},
	cancelSms: async () => {
		const id = await make(live, "/v1/sms/messages", scheduled());
		return { by: live, method: "post", path: `/v1/sms/messages/${id}/cancel` };
	},
	"audit_export.get": () => ({ by: admin, method: "get", path: "/v1/audit/export" }),
	"platform_audit_export.get": () => ({
		by: operator,
		method: "get",
		path: "/v1/operator/audit/export",
	}),
};

const isCritical = (type: unknown): boolean =>
	"critical" in eventTypes[String(type) as keyof typeof eventTypes];
const audited = declaredRoutes().filter((one) => one.audited !== false);

test("each audited route declares a type of the catalogue, and is driven here", () => {
	assert.deepEqual(audited.map((one) => one.operationId).sort(), Object.keys(attempts).sort());
	for (const { operationId, audited: type } of audited)
		assert.ok(Object.hasOwn(eventTypes, String(type)), `${operationId}: ${type}`);
});

test("what changes something is audited, but for messages, which enter the ledger by the batch", () => {
	const free = declaredRoutes().filter((one) => one.method !== "GET" && one.audited === false);
	assert.deepEqual(free.map((one) => one.path).sort(), ["/v1/sms/batches", "/v1/sms/messages"]);
	const operators = declaredRoutes().filter(
		(one) => one.permission === "operator" && one.audited === false,
	);
	assert.ok(operators.every((one) => one.path.startsWith("/v1/operator/audit/")));
});

function perform({ by, method, path, body }: Attempt): Promise<Reply> {
	if (method === "get") return by.get(path);
	if (method === "delete") return by.delete(path);
	return method === "patch" ? by.patch(path, body) : by.post(path, body);
}

interface Written {
	readonly tenant_id: string;
	readonly action: string;
	readonly outcome: string;
}

/** The entries that name this request. */
function entriesOf(reply: Reply): Promise<Written[]> {
	return root.run<Written>(
		`select tenant_id, action, convert_from(entry, 'UTF8')::json->>'outcome' as outcome from ledger_entries
		where convert_from(entry, 'UTF8')::json->>'request_id' = $1 order by id`,
		[reply.headers.get("x-request-id")],
	);
}

const tables = [
	"tenants",
	"tenant_keys",
	"api_keys",
	"operator_keys",
	"routes",
	"tenant_settings",
	"senders",
	"sender_owners",
	"consent_statements",
	"suppressions",
	"webhook_endpoints",
	"contact_keys",
	"contact_erasures",
	"contact_erasure_counts",
	"lane_entries",
	"message_states",
	"message_events",
];

/** Everything that an audited route could have changed. */
async function everything(): Promise<string> {
	const texts = tables.map(
		(table) =>
			`select coalesce(string_agg(md5(t::text), ',' order by md5(t::text)), '') as rows from ${table} t`,
	);
	const found: string[] = [];
	for (const text of texts) found.push(JSON.stringify(await root.run(text)));
	return `${found.join("\n")}${receiver.received.length}`;
}

/** Lanes are read and messages change states all the time; then there is nothing to compare. */
async function quiet(): Promise<void> {
	await until("a quiet platform", everything, () => true);
	let before = "";
	await until("a quiet platform", everything, (now) => {
		const same = now === before;
		before = now;
		return same;
	});
}

after(() => root.run("grant insert on ledger_entries to waxwing_app").catch(() => undefined));

for (const { operationId, audited: type, method } of audited) {
	const attempt = attempts[operationId] ?? assert.fail(operationId);
	test(`${operationId} leaves ${type}`, async () => {
		const ready = await attempt();
		const reply = await perform(ready);
		assert.ok(reply.status < 300 || reply.status === ready.refused, reply.text);
		const written = await entriesOf(reply);
		assert.deepEqual([...new Set(written.map((one) => one.action))], [type]);
		if (method === "GET")
			assert.deepEqual(
				written.map((one) => one.outcome),
				["intent", "ok"],
			);
		else if (isCritical(type)) {
			const outcomes = ["intent", "ok", ...(ready.refused === undefined ? [] : ["failed"])];
			assert.deepEqual(
				written.map((one) => one.outcome),
				outcomes,
			);
		} else {
			assert.ok(written.every((one) => one.outcome === "ok"));
			const logs = written.map((one) => one.tenant_id);
			assert.equal(logs.length, String(type).startsWith("tenant.") ? 2 : 1);
			assert.equal(new Set(logs).size, logs.length);
		}
	});

	test(`${operationId} does nothing when the ledger cannot record`, async () => {
		const ready = await attempt();
		await root.run("revoke insert on ledger_entries from waxwing_app");
		try {
			await quiet();
			const before = await everything();
			const reply = await perform(ready);
			assert.equal(reply.status, 503, reply.text);
			assert.equal(reply.error["name"], "audit_unavailable");
			assert.ok(Number(reply.headers.get("retry-after")) > 0);
			assert.equal(await everything(), before);
			assert.deepEqual(await entriesOf(reply), []);
		} finally {
			await root.run("grant insert on ledger_entries to waxwing_app");
		}
		const now = await perform(ready);
		assert.ok(now.status < 300 || now.status === ready.refused, `afterwards: ${now.text}`);
	});
}

test("what is critical does not begin while its announcement is unsigned", {
	timeout: 120_000,
}, async () => {
	const critical = audited.filter((one) => isCritical(one.audited));
	assert.deepEqual(critical.map((one) => one.operationId).sort(), [
		"audit_export.get",
		"contact.erase",
		"keys.destroy",
		"platform_audit_export.get",
	]);
	for (const { operationId } of critical) {
		const ready = await (attempts[operationId] ?? assert.fail())();
		await root.run("revoke insert on ledger_checkpoints from waxwing_signer");
		try {
			await quiet();
			const before = await everything();
			const reply = await perform(ready);
			assert.equal(reply.status, 503, reply.text);
			assert.equal(reply.error["name"], "audit_unavailable");
			assert.match(String(reply.error["message"]), /signed .* It was not done/);
			assert.equal(await everything(), before, operationId);
			assert.deepEqual(
				(await entriesOf(reply)).map((one) => one.outcome),
				["intent"],
			);
		} finally {
			await root.run("grant insert on ledger_checkpoints to waxwing_signer");
		}
		const now = await perform(ready);
		assert.ok(now.status < 300 || now.status === ready.refused, `afterwards: ${now.text}`);
	}
});

test("a refused act leaves no entry of success", async () => {
	const reply = await admin.delete(`/v1/api-keys/key_${"0".repeat(26)}`);
	assert.equal(reply.status, 404);
	assert.deepEqual(await entriesOf(reply), []);
	const wrong = await admin.post("/v1/senders", { address: "WAXWNG", kind: "alphanumeric" });
	assert.equal(wrong.status, 409);
	assert.deepEqual(await entriesOf(wrong), []);
});

test("while nothing has been signed for ten minutes, privileged acts stop and the others go on", async () => {
	const long =
		"update ledger_logs set unsigned_since = now() - interval '11 minutes' where tenant_id = (select min(tenant_id::text)::uuid from ledger_logs)";
	const isPrivileged = (type: unknown): boolean =>
		eventTypes[String(type) as keyof typeof eventTypes].privileged;
	for (const wanted of [true, false]) {
		const { operationId } =
			audited.find((one) => isPrivileged(one.audited) === wanted && one.method === "POST") ??
			assert.fail();
		const ready = await (attempts[operationId] ?? assert.fail())();
		// The signer would put it right within half a second: it is kept from it.
		await root.run("begin");
		await root.run("lock ledger_checkpoints in exclusive mode");
		await root.run(long);
		await root.run("commit");
		const reply = await perform(ready);
		assert.equal(reply.status === 503, wanted, `${operationId}: ${reply.text}`);
		await root.run("update ledger_logs set unsigned_since = null");
	}
});
