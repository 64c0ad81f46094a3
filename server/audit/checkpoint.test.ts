import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "#platform/ids.ts";
import { signingKey } from "#vault/index.ts";
import { readCheckpoint, signCheckpoint, verifierKey, writeProof } from "./checkpoint.ts";

const key = signingKey(Buffer.alloc(32, 1));
const origin = "example.com/audit/ten_0/e1";
const head = { origin, size: 1_234, root: Buffer.alloc(32, 9) };
const text = signCheckpoint(head, key);

test("a checkpoint reads as the specification says, and back", () => {
	const lines = text.split("\n");
	assert.deepEqual(lines.slice(0, 4), [origin, "1234", head.root.toString("base64"), ""]);
	assert.match(lines[4] ?? "", /^— example\.com\/audit\/ten_0\/e1 [A-Za-z0-9+/]+={0,2}$/);
	assert.deepEqual(readCheckpoint(text, origin, key.publicKey), head);
	assert.equal(signCheckpoint(head, key), text);
});

test("the key id is the first four bytes of SHA-256 over name, newline, type and key", () => {
	// The Go checksum database's published verifier key.
	const published = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
	const [name = "", , bytes = ""] = published.split(/\+(?=[0-9a-f]{8}\+)|(?<=\+[0-9a-f]{8})\+/);
	const publicKey = Buffer.from(bytes, "base64").subarray(1);
	assert.equal(verifierKey(name, publicKey), published);
});

test("signatures of strangers are ignored, a wrong one under our name and key is not", () => {
	const stranger = signCheckpoint(head, signingKey(Buffer.alloc(32, 2))).split("\n")[4] as string;
	assert.deepEqual(readCheckpoint(`${text}${stranger}\n`, origin, key.publicKey), head);
	const forged = Buffer.from((text.split("\n")[4] as string).split(" ")[2] as string, "base64");
	forged[20] = (forged[20] as number) ^ 1;
	const line = `— ${origin} ${forged.toString("base64")}\n`;
	assert.equal(readCheckpoint(`${text}${line}`, origin, key.publicKey), undefined);
});

test("another origin, another key, any changed bit and any malformed text are refused", () => {
	assert.equal(readCheckpoint(text, `${origin}0`, key.publicKey), undefined);
	assert.equal(readCheckpoint(text, origin, signingKey(Buffer.alloc(32, 2)).publicKey), undefined);
	const bytes = Buffer.from(text, "utf8");
	for (let bit = 0; bit < bytes.length * 8; bit++) {
		const changed = Buffer.from(bytes);
		changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
		assert.equal(
			readCheckpoint(changed.toString("utf8"), origin, key.publicKey),
			undefined,
			`${bit}`,
		);
	}
	for (const wrong of [
		"",
		text.replace("1234", "01234"),
		text.replace("\n\n", "\n"),
		text.replace("\n\n", "\nextension\n\n"),
		text.trimEnd(),
		`${text}\n`,
		text.replaceAll("\n", "\r\n"),
	])
		assert.equal(readCheckpoint(wrong, origin, key.publicKey), undefined, JSON.stringify(wrong));
	assert.throws(() => signCheckpoint({ ...head, origin: "a b" }, key), RangeError);
	assert.throws(() => signCheckpoint({ ...head, origin: "a+b" }, key), RangeError);
});

test("a proof holds entry, index, path and checkpoint", () => {
	const random = seededRandom(1);
	const path = [random.bytes(32), random.bytes(32)];
	const lines = writeProof(Buffer.from("entry"), 7, path, text).split("\n");
	assert.deepEqual(lines.slice(0, 3), ["c2sp.org/tlog-proof@v1", "extra ZW50cnk=", "index 7"]);
	assert.deepEqual(
		lines.slice(3, 5),
		path.map((hash) => hash.toString("base64")),
	);
	assert.deepEqual(lines.slice(5).join("\n"), `\n${text}`);
});
