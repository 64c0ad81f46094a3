import assert from "node:assert/strict";
import { test } from "node:test";
import { Webhook } from "standardwebhooks";
import { digest, equalBytes, hashSecret } from "./digest.ts";
import { hmacKey } from "./hmac.ts";
import { signWebhook } from "./webhook-signature.ts";

test("hashSecret is SHA-256 (FIPS 180-4, example of one block)", () => {
	assert.equal(
		hashSecret("abc").toString("hex"),
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	);
});

test("lists of parts that differ in any way have different digests", () => {
	const lists = [
		[],
		[""],
		["", ""],
		["ab"],
		["a", "b"],
		["", "ab"],
		["ab", ""],
		["b", "a"],
		["a\0\0\0\0b"],
		["a\0\0\0\x01b"],
	];
	const key = hmacKey(Buffer.alloc(32, 1));
	assert.equal(new Set(lists.map((list) => digest(...list).toString("hex"))).size, lists.length);
	assert.equal(new Set(lists.map((list) => key.parts(list).toString("hex"))).size, lists.length);
	assert.deepEqual(digest("é"), digest(Buffer.from([0xc3, 0xa9])));
});

test("equalBytes compares, whatever the lengths", () => {
	const cases: [number[], number[], boolean][] = [
		[[], [], true],
		[[1], [1], true],
		[[1], [2], false],
		[[1], [], false],
		[[1, 2], [1], false],
	];
	for (const [a, b, equal] of cases)
		assert.equal(equalBytes(Buffer.from(a), Buffer.from(b)), equal);
});

// The example of the Standard Webhooks specification's reference libraries.
const secret = Buffer.from("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "base64");
const published = {
	id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
	timestampSeconds: 1_614_265_330,
	body: '{"test": 2432232314}',
	signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
};

test("signWebhook gives the published signature, for text and for bytes", () => {
	const { id, timestampSeconds, body, signature } = published;
	assert.equal(signWebhook(secret, id, timestampSeconds, body), signature);
	assert.equal(signWebhook(secret, id, timestampSeconds, Buffer.from(body)), signature);
});

test("the npm package standardwebhooks verifies what signWebhook signs, and nothing else", (t) => {
	t.mock.timers.enable({ apis: ["Date"], now: published.timestampSeconds * 1000 });
	const receiver = new Webhook(`whsec_${secret.toString("base64")}`);
	const verify = (id: string, body: string, signature: string): unknown =>
		receiver.verify(body, {
			"webhook-id": id,
			"webhook-timestamp": String(published.timestampSeconds),
			"webhook-signature": signature,
		});
	for (const body of [published.body, '{"text":"ü – भारत"}', "[]"]) {
		const signature = signWebhook(secret, "whd_1", published.timestampSeconds, body);
		assert.deepEqual(verify("whd_1", body, signature), JSON.parse(body));
		assert.deepEqual(verify("whd_1", body, `v1,AAAA ${signature}`), JSON.parse(body));
		assert.throws(() => verify("whd_2", body, signature), /No matching signature/);
		assert.throws(() => verify("whd_1", `${body} `, signature), /No matching signature/);
		const other = signWebhook(Buffer.alloc(32), "whd_1", published.timestampSeconds, body);
		assert.throws(() => verify("whd_1", body, other), /No matching signature/);
	}
});
