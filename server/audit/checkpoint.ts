/**
 * A log's head, signed, and the proof that an entry is in it, in the formats of C2SP: signed-note and
 * tlog-checkpoint (origin, size, root; Ed25519, key name = origin), tlog-proof@v1 (checkpoint, index, path and
 * here, as `extra`, the entry itself). Verifiers of other people read them. Pure.
 */
import { sha256, type SigningKey, verifySignature } from "#vault/index.ts";
import { hashBytes } from "./tree.ts";

export interface Head {
	/** Names the log among all logs: `example.com/audit/ten_…/e1`. */
	readonly origin: string;
	readonly size: number;
	readonly root: Buffer;
}

/** The type byte of Ed25519 signatures. */
const ed25519 = 0x01;
const keyIdBytes = 4;
const originPattern = /^[A-Za-z0-9._~:/-]{1,200}$/;

/** What a verifier pins: `<origin>+<key id in hexadecimal>+<base64 of type and public key>`. */
export function verifierKey(origin: string, publicKey: Buffer): string {
	const key = Buffer.concat([Buffer.of(ed25519), publicKey]).toString("base64");
	return `${origin}+${keyIdOf(origin, publicKey).toString("hex")}+${key}`;
}

function keyIdOf(name: string, publicKey: Buffer): Buffer {
	const bytes = Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(ed25519), publicKey]);
	return sha256(bytes).subarray(0, keyIdBytes);
}

function bodyOf({ origin, size, root }: Head): string {
	if (!originPattern.test(origin)) throw new RangeError(`${origin} cannot be the origin of a log`);
	return `${origin}\n${size}\n${root.toString("base64")}\n`;
}

/** The checkpoint's text; the same head always gives the same text. */
export function signCheckpoint(head: Head, key: SigningKey): string {
	const body = bodyOf(head);
	const signed = Buffer.concat([
		keyIdOf(head.origin, key.publicKey),
		key.sign(Buffer.from(body, "utf8")),
	]);
	return `${body}\n— ${head.origin} ${signed.toString("base64")}\n`;
}

const checkpointPattern =
	/^([^\s+]{1,200})\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/]{43}=)\n\n((?:— [^\s+]{1,200} [A-Za-z0-9+/]{8,20000}={0,2}\n){1,16})$/u;

/** The head that this key has signed, or undefined: unsigned, malformed, another origin, another key. */
export function readCheckpoint(text: string, origin: string, publicKey: Buffer): Head | undefined {
	const [, name, size, root, signatures = ""] = checkpointPattern.exec(text) ?? [];
	if (name !== origin || size === undefined || root === undefined) return undefined;
	const head = { origin, size: Number(size), root: Buffer.from(root, "base64") };
	if (head.root.length !== hashBytes || head.root.toString("base64") !== root) return undefined;
	const body = Buffer.from(bodyOf(head), "utf8");
	const keyId = keyIdOf(origin, publicKey);
	const ours = signatures
		.trimEnd()
		.split("\n")
		.map((line) => line.split(" "))
		.filter(([, signer]) => signer === origin)
		.map(([, , given = ""]) => ({ given, bytes: Buffer.from(given, "base64") }))
		.filter(({ bytes }) => bytes.subarray(0, keyIdBytes).equals(keyId));
	const genuine = ours.every(
		({ given, bytes }) =>
			bytes.toString("base64") === given &&
			verifySignature(publicKey, body, bytes.subarray(keyIdBytes)),
	);
	return ours.length > 0 && genuine ? head : undefined;
}

/** A tlog-proof whose `extra` is the entry's bytes: nothing else is needed to check it but the pinned key. */
export function writeProof(
	entry: Buffer,
	index: number,
	path: readonly Buffer[],
	checkpoint: string,
): string {
	const lines = [
		"c2sp.org/tlog-proof@v1",
		`extra ${entry.toString("base64")}`,
		`index ${index}`,
		...path.map((hash) => hash.toString("base64")),
	];
	return `${lines.join("\n")}\n\n${checkpoint}`;
}

/** Where a log is named: `<name>/audit/<log>/e<epoch>`; `log` is a tenant's id as shown, or `platform`. */
export function originOf(name: string, log: string, epoch: number): string {
	return `${name}/audit/${log}/e${epoch}`;
}
