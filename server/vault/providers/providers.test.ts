/** One suite that every provider passes, and what is particular to each. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { inspect } from "node:util";
import { systemClock } from "#platform/clock.ts";
import { createEgress } from "#platform/egress.ts";
import { Secret } from "#platform/hidden.ts";
import { seededRandom, systemRandom } from "#platform/ids.ts";
import { openRootKeys } from "../root-key.ts";
import { signAws } from "./aws-signature.ts";
import { awsKmsProvider } from "./aws-kms.ts";
import { localProvider } from "./local.ts";
import { pkcs11Provider, readPkcs11Uri } from "./pkcs11.ts";
import { type KeyProvider, KeyProviderError, type KeyTrouble } from "./provider.ts";
import { startKms } from "./test-aws-kms.ts";
import { startTransit } from "./test-transit.ts";
import { transitProvider } from "./transit.ts";

interface Subject {
	readonly name: string;
	readonly open: () => KeyProvider;
	/** A provider whose newest root key is another one, and that still knows the old one. */
	readonly rotated: (provider: KeyProvider) => Promise<KeyProvider>;
	/** What must never be shown. */
	readonly secrets: readonly string[];
	/** Nobody can reach it until the function that it returns is called. */
	readonly cut?: () => () => void;
}

const random = systemRandom();
const egress = createEgress({ allow: ["127.0.0.0/8"], clock: systemClock, connectTimeoutMs: 500 });
after(() => egress.close());
const scratch = mkdtempSync(join(tmpdir(), "waxwing-providers-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

async function selfRotated(provider: KeyProvider): Promise<KeyProvider> {
	await provider.rotate();
	return provider;
}

let folders = 0;
function fileSubject(name: string, passphrase?: Secret): Subject {
	const dataDir = join(scratch, `file${++folders}`);
	const open = (): KeyProvider => {
		const { keys, save } = openRootKeys({
			dataDir,
			configured: undefined,
			passphrase,
			mayCreate: true,
			random,
		});
		return localProvider({ kind: "file", keys, random, ...(save === undefined ? {} : { save }) });
	};
	return { name, open, rotated: selfRotated, secrets: [] };
}

function envSubject(): Subject {
	const [old, fresh] = [random.bytes(32), random.bytes(32)];
	const open = (...keys: Buffer[]): KeyProvider => {
		const configured = new Secret(keys.map((key) => key.toString("hex")).join(","));
		const read = openRootKeys({ dataDir: scratch, configured, mayCreate: false, random });
		return localProvider({ kind: "env", keys: read.keys, random, warning: read.warning });
	};
	return {
		name: "env",
		open: () => open(old),
		rotated: async (provider) => {
			await assert.rejects(provider.rotate(), trouble("unsupported"));
			return open(fresh, old);
		},
		secrets: [old.toString("hex"), [...old.subarray(0, 4)].join(", ")],
	};
}

async function transitSubject(): Promise<
	Subject & { service: Awaited<ReturnType<typeof startTransit>> }
> {
	const service = await startTransit("waxwing");
	const { url } = service;
	return {
		service,
		name: "transit",
		open: () =>
			transitProvider({ url, keyName: "waxwing", token: new Secret(service.token), egress }),
		rotated: selfRotated,
		secrets: [service.token],
		cut() {
			service.answer = { status: 503, body: '{"errors":["Vault is sealed"]}' };
			return () => void (service.answer = undefined);
		},
	};
}

async function kmsSubject(): Promise<Subject & { service: Awaited<ReturnType<typeof startKms>> }> {
	const service = await startKms(() => systemClock.now());
	const [old, fresh] = [service.createKey(), service.createKey()];
	const credentials = new Secret(service.credentials);
	const open = (keyArn: string): KeyProvider =>
		awsKmsProvider({ url: service.url, keyArn, credentials, egress, clock: systemClock });
	return {
		service,
		name: "aws-kms",
		open: () => open(old),
		rotated: async (provider) => {
			await assert.rejects(provider.rotate(), trouble("unsupported"));
			return open(fresh);
		},
		secrets: [service.credentials.split(":")[1] as string],
		cut() {
			service.answer = { status: 400, body: '{"__type":"ThrottlingException"}' };
			return () => void (service.answer = undefined);
		},
	};
}

const softHsm = "/usr/lib/softhsm/libsofthsm2.so";
const hasSoftHsm = existsSync(softHsm) && spawnSync("pkcs11-tool", ["--help"]).error === undefined;
const pin = "918273";

/** A token of its own in SoftHSM2, with one key. */
function hsmSubject(): Subject {
	const folder = join(scratch, "hsm");
	mkdirSync(join(folder, "tokens"), { recursive: true });
	const SOFTHSM2_CONF = join(folder, "softhsm2.conf");
	writeFileSync(SOFTHSM2_CONF, `directories.tokendir = ${join(folder, "tokens")}\n`);
	const run = (program: string, args: readonly string[]): void => {
		const { status, stderr } = spawnSync(program, args, { env: { ...process.env, SOFTHSM2_CONF } });
		assert.equal(status, 0, String(stderr));
	};
	const label = ["--token-label", "waxwing"];
	run("softhsm2-util", [
		"--init-token",
		"--free",
		"--label",
		"waxwing",
		"--so-pin",
		"1234",
		"--pin",
		pin,
	]);
	const key = [
		"--keygen",
		"--key-type",
		"AES:32",
		"--id",
		"01",
		"--label",
		"root-kek",
		"--sensitive",
	];
	run("pkcs11-tool", ["--module", softHsm, ...label, "--login", "--pin", pin, ...key]);
	const uri = `pkcs11:token=waxwing;object=root-kek?module-path=${softHsm}`;
	const environment = { SOFTHSM2_CONF };
	const moved = `${SOFTHSM2_CONF}.away`;
	return {
		name: "pkcs11",
		open: () => pkcs11Provider({ uri, pin: new Secret(pin), random, environment }),
		rotated: selfRotated,
		secrets: [pin],
		cut() {
			const text = readFileSync(SOFTHSM2_CONF);
			writeFileSync(moved, text);
			writeFileSync(SOFTHSM2_CONF, `directories.tokendir = ${join(folder, "none")}\n`);
			return () => writeFileSync(SOFTHSM2_CONF, text);
		},
	};
}

const transit = await transitSubject();
const kms = await kmsSubject();
const subjects: readonly Subject[] = [
	fileSubject("file"),
	fileSubject("file with a passphrase", new Secret("correct horse battery staple")),
	envSubject(),
	transit,
	kms,
	...(hasSoftHsm ? [hsmSubject()] : []),
];
if (!hasSoftHsm)
	test("pkcs11: SoftHSM2", { skip: "needs Debian's softhsm2 and opensc" }, () => undefined);

function trouble(kind: KeyTrouble): (error: unknown) => boolean {
	return (error) => error instanceof KeyProviderError && error.trouble === kind;
}

const label = { tenantId: "0190a000-0000-7000-8000-00000000000a", table: "tenant_keys", row: "1" };
const key = Buffer.from(Array.from({ length: 32 }, (_, i) => i * 7));

for (const subject of subjects) {
	const provider = subject.open();
	const says = (what: string): string => `${subject.name}: ${what}`;

	test(says("what it wraps it unwraps, and another process too"), async () => {
		const wrapped = await provider.wrap(key, label);
		assert.deepEqual(await provider.unwrap(wrapped, label), key);
		assert.deepEqual(await subject.open().unwrap(wrapped, label), key);
		const again = await provider.wrap(key, label);
		assert.equal(again.version, wrapped.version);
		assert.notDeepEqual(again.bytes, wrapped.bytes);
		assert.equal(wrapped.bytes.includes(key), false);
		assert.ok(wrapped.version !== "" && Buffer.byteLength(wrapped.version) <= 200);
		assert.equal(await provider.health(), undefined);
	});

	test(says("under another label, version or with a bit changed it is refused"), async () => {
		const wrapped = await provider.wrap(key, label);
		const others = [
			{ ...label, tenantId: "" },
			{ ...label, table: "keyring" },
			{ ...label, row: "2" },
		];
		for (const other of others)
			await assert.rejects(provider.unwrap(wrapped, other), trouble("refused"));
		const unknown = {
			...wrapped,
			version: wrapped.version.replace(/.$/, (last) => (last === "9" ? "8" : "9")),
		};
		await assert.rejects(provider.unwrap(unknown, label), KeyProviderError);
		const step = subject.name === "pkcs11" ? 29 : 1;
		for (let at = 0; at < wrapped.bytes.length; at += step) {
			const bytes = Buffer.from(wrapped.bytes);
			bytes[at] = (bytes[at] as number) ^ 1;
			const changed = { ...wrapped, bytes };
			await assert.rejects(provider.unwrap(changed, label), trouble("refused"), `byte ${at}`);
		}
		for (const bytes of [Buffer.alloc(0), wrapped.bytes.subarray(1)])
			await assert.rejects(provider.unwrap({ ...wrapped, bytes }, label), trouble("refused"));
	});

	test(says("it shows no secret, in inspection, JSON or errors"), async () => {
		const wrapped = await provider.wrap(key, label);
		const error = await provider.unwrap(wrapped, { ...label, row: "9" }).catch((one) => one);
		const shown = [provider, wrapped, error]
			.map((one) => inspect(one, { depth: 9, showHidden: true, maxArrayLength: null }))
			.concat(JSON.stringify(provider), JSON.stringify(error))
			.join("\n");
		const held = [...subject.secrets, key.toString("hex"), [...key.subarray(0, 8)].join(", ")];
		for (const secret of held) assert.equal(shown.includes(secret), false, shown);
		assert.equal(shown.includes(inspect(key).slice(8, 40)), false, shown);
	});

	if (subject.cut !== undefined)
		test(says("when nobody can reach it, it says so and that it may pass"), async () => {
			const wrapped = await provider.wrap(key, label);
			const restore = subject.cut?.();
			try {
				await assert.rejects(provider.wrap(key, label), trouble("away"));
				await assert.rejects(provider.unwrap(wrapped, label), trouble("away"));
				assert.match((await provider.health()) ?? "", /^[A-Z].*\.$/);
			} finally {
				restore?.();
			}
			assert.deepEqual(await provider.unwrap(wrapped, label), key);
		});

	test(says("a new root key wraps, the old one unwraps until it is destroyed"), async () => {
		const old = await provider.wrap(key, label);
		const next = await subject.rotated(provider);
		const fresh = await next.wrap(key, label);
		assert.notEqual(fresh.version, old.version);
		assert.deepEqual(await next.unwrap(old, label), key);
		assert.deepEqual(await next.unwrap(fresh, label), key);
		await assert.rejects(next.destroy(fresh.version), trouble("refused"));
		if (subject.name === "env")
			return assert.rejects(next.destroy(old.version), trouble("unsupported"));
		await next.destroy(old.version);
		await assert.rejects(next.unwrap(old, label), trouble("refused"));
		assert.deepEqual(await next.unwrap(fresh, label), key);
	});
}

test("a moved root key file wraps as before, and what was wrapped before versions still opens", async () => {
	const subject = fileSubject("again");
	const provider = subject.open();
	const { bytes } = await provider.wrap(key, label);
	await provider.rotate();
	assert.deepEqual(await subject.open().unwrap({ version: "", bytes }, label), key);
});

test("a passphrase seals the file that was in the clear, and nothing opens it without", () => {
	const dataDir = join(scratch, "sealed");
	const base = { dataDir, configured: undefined, mayCreate: true, random: seededRandom(3) };
	const plain = openRootKeys(base).keys[0] as Buffer;
	const sealed = openRootKeys({ ...base, passphrase: new Secret("first") });
	assert.deepEqual(sealed.keys, [plain]);
	const text = readFileSync(join(dataDir, "root.key"), "latin1");
	assert.match(text, /^argon2id-1:[0-9a-f]{176}\n$/);
	assert.equal(text.includes(plain.toString("hex")), false);
	assert.deepEqual(readdirSync(dataDir), ["root.key"]);
	assert.throws(() => openRootKeys(base), /WAXWING_ROOT_KEY_PASSPHRASE_FILE/);
	assert.throws(() => openRootKeys({ ...base, passphrase: new Secret("second") }), /does not open/);
});

test("transit: the requests are those of the published API, and no other", async () => {
	transit.service.asked.length = 0;
	const provider = transit.open();
	const wrapped = await provider.wrap(key, label);
	await provider.unwrap(wrapped, label);
	const [encrypt = "", decrypt = ""] = transit.service.asked;
	const aad =
		"AQAkMDE5MGEwMDAtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDBhC3RlbmFudF9rZXlzB3dyYXBwZWQBMQ==";
	assert.equal(
		encrypt,
		`/v1/transit/encrypt/waxwing {"plaintext":"${key.toString("base64")}","associated_data":"${aad}"}`,
	);
	assert.match(
		decrypt,
		/^\/v1\/transit\/decrypt\/waxwing \{"ciphertext":"vault:v\d+:[^"]+","associated_data":/,
	);
	assert.equal(transit.service.asked.length, 2);
});

test("transit: a token that may not is told as such, and is not in the sentence", async () => {
	const provider = transitProvider({
		url: transit.service.url,
		keyName: "waxwing",
		token: new Secret("hvs.somebody-else"),
		egress,
	});
	await assert.rejects(provider.wrap(key, label), (error: Error) => {
		assert.match(error.message, /token may not use encrypt\/waxwing/);
		return !inspect(error).includes("somebody-else");
	});
});

// The AWS Signature Version 4 test suite: post-vanilla, post-x-www-form-urlencoded, get-vanilla.
const date = { host: "example.amazonaws.com", "x-amz-date": "20150830T123600Z" };
const form = { ...date, "content-type": "application/x-www-form-urlencoded" };
const vectors: [
	method: string,
	headers: Record<string, string>,
	body: string,
	signature: string,
][] = [
	["POST", date, "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"],
	[
		"POST",
		form,
		"Param1=value1",
		"ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
	],
	["GET", date, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"],
];
for (const [method, headers, body, signature] of vectors)
	test(`aws-kms: the published signature ${signature.slice(0, 8)}`, () => {
		const secretAccessKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
		const scope = {
			region: "us-east-1",
			service: "service",
			accessKeyId: "AKIDEXAMPLE",
			secretAccessKey,
		};
		const signed = signAws({ method, path: "/", headers, body }, scope);
		assert.ok(signed.endsWith(`, Signature=${signature}`), signed);
	});

test("aws-kms: the request is the published one; an alias and a wrong secret are refused", async () => {
	kms.service.asked.length = 0;
	const keyArn = kms.service.createKey();
	const parts = { url: kms.service.url, keyArn, egress, clock: systemClock };
	const provider = awsKmsProvider({ ...parts, credentials: new Secret(kms.service.credentials) });
	await provider.wrap(key, label);
	const context = `{"waxwing:tenant":"${label.tenantId}","waxwing:table":"tenant_keys","waxwing:row":"1"}`;
	assert.deepEqual(kms.service.asked, [
		`TrentService.Encrypt {"KeyId":"${keyArn}","Plaintext":"${key.toString("base64")}","EncryptionContext":${context}}`,
	]);
	const wrong = awsKmsProvider({ ...parts, credentials: new Secret("AKIDTESTONLY:guessed") });
	await assert.rejects(wrong.wrap(key, label), /InvalidSignature/);
	const credentials = new Secret("a:b");
	assert.throws(() => awsKmsProvider({ ...parts, keyArn: "alias/waxwing", credentials }), /ARN/);
});

test("pkcs11: a URI that is not one of ours is refused with what it must be", () => {
	const good = `pkcs11:token=a%20b;object=k?module-path=${softHsm}`;
	assert.deepEqual(readPkcs11Uri(good), { token: "a b", object: "k", module: softHsm });
	for (const bad of ["", "pkcs11:token=a", good.replace("token", "slot"), `${good}&pin-value=1`])
		assert.throws(() => readPkcs11Uri(bad), /WAXWING_KEY_URL must be pkcs11:/);
});
