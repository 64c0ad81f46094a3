/**
 * Witnesses: programs of others that co-sign a checkpoint when it continues the last one they saw. Their keys and lines in
 * the format of C2SP tlog-cosignature (Ed25519, `cosignature/v1`), and what is asked of them and answered, in that of C2SP
 * tlog-witness. Pure.
 */
import { sha256, verifySignature } from "#vault/index.ts";

export interface Witness {
	/** Where `/add-checkpoint` is, with a slash at the end. */
	readonly url: string;
	readonly name: string;
	readonly publicKey: Buffer;
	/** Name and key id: how its lines are filed. */
	readonly id: string;
}

/** The type byte of Ed25519 cosignatures. */
const cosignatureType = 0x04;
const keyIdBytes = 4;
const lineBytes = keyIdBytes + 8 + 64;

function keyIdOf(name: string, publicKey: Buffer): Buffer {
	const bytes = Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(cosignatureType), publicKey]);
	return sha256(bytes).subarray(0, keyIdBytes);
}

/** `URL=NAME+ID+BASE64`: where a witness is, and its verifier key. Undefined when it is not of this form. */
export function readWitness(text: string): Witness | undefined {
	const [, url = "", name = "", id = "", key = ""] =
		/^(https?:\/\/[^\s=]{1,400})=([^\s+=]{1,200})\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})$/.exec(
			text,
		) ?? [];
	const typed = Buffer.from(key, "base64");
	const publicKey = typed.subarray(1);
	if (typed.length !== 33 || typed[0] !== cosignatureType) return undefined;
	if (keyIdOf(name, publicKey).toString("hex") !== id) return undefined;
	return { url: url.endsWith("/") ? url : `${url}/`, name, publicKey, id: `${name}+${id}` };
}

/** What is posted: the size that the witness knows, the proof that the checkpoint continues it, the checkpoint. */
export function witnessRequest(old: number, proof: readonly Buffer[], checkpoint: string): string {
	const lines = [`old ${old}`, ...proof.map((hash) => hash.toString("base64"))];
	return `${lines.join("\n")}\n\n${checkpoint}`;
}

/** The witness's own line among those it answered with, checked; undefined when there is none that verifies. */
export function readCosignature(
	answer: string,
	checkpoint: string,
	{ name, publicKey }: Witness,
): string | undefined {
	const body = checkpoint.slice(0, checkpoint.indexOf("\n\n") + 1);
	const id = keyIdOf(name, publicKey);
	return answer.split(/(?<=\n)/).find((line) => {
		const [, signer, given = ""] =
			/^— ([^\s+]{1,200}) ([A-Za-z0-9+/]{4,400}={0,2})\n$/u.exec(line) ?? [];
		const bytes = Buffer.from(given, "base64");
		if (signer !== name || bytes.length !== lineBytes || bytes.toString("base64") !== given)
			return false;
		if (!bytes.subarray(0, keyIdBytes).equals(id)) return false;
		const time = bytes.readBigUInt64BE(keyIdBytes);
		const message = Buffer.from(`cosignature/v1\ntime ${time}\n${body}`, "utf8");
		return verifySignature(publicKey, message, bytes.subarray(keyIdBytes + 8));
	});
}
