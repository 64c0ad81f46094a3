import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { inspect } from "node:util";
import { seededRandom } from "#platform/ids.ts";
import { bearerToken, idOf, type KeyKind, mintKey, readKey } from "./key-text.ts";

const id = "0190a000-0000-7000-8000-0000000000ff";
const shownId = "01j2g00000e00800000000007z";
const secret = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE";

const texts: [what: string, text: string, kind: KeyKind | undefined][] = [
	["a live key", `wx_live_${shownId}_${secret}`, "live"],
	["a test key", `wx_test_${shownId}_${secret}`, "test"],
	["an operator's key", `wx_op_${shownId}_${secret}`, "operator"],
	["a secret of nothing but separators", `wx_live_${shownId}_${"_".repeat(43)}`, "live"],
	["nothing", "", undefined],
	["a prefix", "wx_live_", undefined],
	["another kind", `wx_dev_${shownId}_${secret}`, undefined],
	["another case", `WX_LIVE_${shownId}_${secret}`, undefined],
	["a short secret", `wx_live_${shownId}_${secret.slice(1)}`, undefined],
	["a long secret", `wx_live_${shownId}_${secret}A`, undefined],
	["a short id", `wx_live_${shownId.slice(1)}_${secret}`, undefined],
	["another separator", `wx_live_${shownId}-${secret}`, undefined],
	["a secret in plain base64", `wx_live_${shownId}_${secret.slice(1)}+`, undefined],
	["a secret with a line break", `wx_live_${shownId}_${secret.slice(1)}\n`, undefined],
	["a space before", ` wx_live_${shownId}_${secret}`, undefined],
	["a megabyte", "wx_live_".repeat(131_072), undefined],
];
for (const [what, text, kind] of texts)
	test(`${what} is ${kind === undefined ? "no key" : `read as ${kind}`}`, () => {
		const read = readKey(text);
		assert.equal(read?.kind, kind);
		if (read !== undefined) {
			assert.equal(read.shownId, shownId);
			assert.equal(read.secret, text.slice(-43));
			assert.equal(idOf(read.shownId), id);
		}
	});

test("the id is read as an id or not at all", () => {
	for (const shown of ["0".repeat(25), "z".repeat(26), "0".repeat(25) + "u", "O".repeat(26), ""])
		assert.equal(idOf(shown), undefined, shown);
});

for (const kind of ["live", "test", "operator"] as const)
	test(`a minted ${kind} key reads back, and only its hash could be stored`, () => {
		const { text, secretHash } = mintKey(kind, id, seededRandom(3));
		const read = readKey(text.reveal());
		assert.deepEqual({ kind: read?.kind, shownId: read?.shownId }, { kind, shownId });
		const expected = createHash("sha256")
			.update(read?.secret ?? "")
			.digest();
		assert.deepEqual(secretHash, expected);
		assert.equal(inspect(text).includes(read?.secret ?? "wx_"), false);
		assert.notDeepEqual(mintKey(kind, id, seededRandom(4)).secretHash, secretHash);
	});

const headers: [header: string | undefined, token: string | undefined][] = [
	["Bearer abc", "abc"],
	["bearer   abc", "abc"],
	[undefined, undefined],
	["", undefined],
	["Bearer", undefined],
	["Bearer ", undefined],
	["Bearer a b", undefined],
	["Basic abc", undefined],
	["AccessKey abc", undefined],
	[" Bearer abc", undefined],
	[`Bearer ${"a".repeat(129)}`, undefined],
	[`Bearer ${" ".repeat(100_000)}a`, undefined],
];
for (const [header, token] of headers)
	test(`the header ${header?.slice(0, 20)} holds ${token ?? "no token"}`, () => {
		assert.equal(bearerToken(header), token);
	});
