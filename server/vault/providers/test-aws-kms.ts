/**
 * A stand-in for AWS KMS on loopback: the actions, members, answers and errors of its published JSON API that we use,
 * with real AES-256-GCM, encryption contexts and key states. It checks the signature of every request (its date and
 * credentials too) and refuses everything else.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { after } from "node:test";
import { signAws } from "./aws-signature.ts";

export interface TestKms {
	readonly url: string;
	readonly credentials: string;
	/** Makes a key; its ARN. */
	createKey(): string;
	readonly asked: string[];
	answer: { status: number; body: string } | undefined;
}

interface Key {
	readonly bytes: Buffer;
	state: "Enabled" | "PendingDeletion";
}

type Body = Readonly<Record<string, unknown>>;

class Refusal extends Error {}

const region = "ap-south-1";
const accessKeyId = "AKIDTESTONLY";
const skewMs = 5 * 60_000;

/** `nowMs` is the clock that requests are signed by. */
export async function startKms(nowMs: () => number): Promise<TestKms> {
	const secretAccessKey = randomBytes(30).toString("base64");
	const keys = new Map<string, Key>();
	const server = createServer((request, response) => {
		void read(request).then((text) => {
			state.asked.push(`${String(request.headers["x-amz-target"])} ${text}`);
			const { status, body } = state.answer ?? reply(request, text);
			response.writeHead(status, { "content-type": "application/x-amz-json-1.1" }).end(body);
		});
	});
	const reply = (request: IncomingMessage, text: string) => {
		try {
			checkSignature(request, text, secretAccessKey, nowMs());
			const action = String(request.headers["x-amz-target"]).replace("TrentService.", "");
			const body = JSON.stringify(act(keys, action, JSON.parse(text) as Body));
			return { status: 200, body };
		} catch (error) {
			if (!(error instanceof Refusal)) throw error;
			return { status: 400, body: JSON.stringify({ __type: error.message, message: "no" }) };
		}
	};
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	after(() => {
		server.close();
		server.closeAllConnections();
	});
	const { port } = server.address() as AddressInfo;
	const state: TestKms = {
		url: `http://127.0.0.1:${port}`,
		credentials: `${accessKeyId}:${secretAccessKey}`,
		asked: [],
		answer: undefined,
		createKey() {
			const arn = `arn:aws:kms:${region}:111122223333:key/${randomBytes(16).toString("hex")}`;
			keys.set(arn, { bytes: randomBytes(32), state: "Enabled" });
			return arn;
		},
	};
	return state;
}

function checkSignature(
	request: IncomingMessage,
	text: string,
	secretAccessKey: string,
	nowMs: number,
): void {
	const given = String(request.headers.authorization);
	const names = /SignedHeaders=([a-z0-9;-]+),/.exec(given)?.[1]?.split(";") ?? [];
	for (const name of ["host", "x-amz-date", "x-amz-target"])
		if (!names.includes(name)) throw new Refusal("IncompleteSignatureException");
	const headers = Object.fromEntries(names.map((name) => [name, String(request.headers[name])]));
	const at = String(headers["x-amz-date"]).replace(
		/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/,
		"$1-$2-$3T$4:$5:$6Z",
	);
	if (!(Math.abs(Date.parse(at) - nowMs) < skewMs)) throw new Refusal("InvalidSignatureException");
	const expected = signAws(
		{ method: request.method ?? "", path: request.url ?? "", headers, body: text },
		{ region, service: "kms", accessKeyId, secretAccessKey },
	);
	if (given !== expected) throw new Refusal("InvalidSignatureException");
	if (request.headers["content-type"] !== "application/x-amz-json-1.1")
		throw new Refusal("UnknownOperationException");
}

function act(keys: ReadonlyMap<string, Key>, action: string, body: Body): object {
	const { KeyId, Plaintext, CiphertextBlob, EncryptionContext, ...rest } = body;
	const key = keys.get(String(KeyId));
	if (key === undefined) throw new Refusal("NotFoundException");
	if (action === "ScheduleKeyDeletion") {
		const days = Number(rest["PendingWindowInDays"]);
		if (!(days >= 7 && days <= 30)) throw new Refusal("ValidationException");
		key.state = "PendingDeletion";
		return { KeyId, DeletionDate: 1.8e9, KeyState: key.state, PendingWindowInDays: days };
	}
	if (Object.keys(rest).length > 0) throw new Refusal("SerializationException");
	if (key.state !== "Enabled") throw new Refusal("KMSInvalidStateException");
	const aad = contextOf(EncryptionContext);
	const algorithm = { KeyId, EncryptionAlgorithm: "SYMMETRIC_DEFAULT" };
	if (action === "Encrypt" && typeof Plaintext === "string") {
		const nonce = randomBytes(12);
		const cipher = createCipheriv("aes-256-gcm", key.bytes, nonce).setAAD(aad);
		const bytes = [cipher.update(Buffer.from(Plaintext, "base64")), cipher.final()];
		const blob = Buffer.concat([nonce, ...bytes, cipher.getAuthTag()]);
		return { ...algorithm, CiphertextBlob: blob.toString("base64") };
	}
	if (action === "Decrypt" && typeof CiphertextBlob === "string") {
		const blob = Buffer.from(CiphertextBlob, "base64");
		if (blob.length < 28) throw new Refusal("InvalidCiphertextException");
		const decipher = createDecipheriv("aes-256-gcm", key.bytes, blob.subarray(0, 12));
		decipher.setAAD(aad).setAuthTag(blob.subarray(-16));
		try {
			const plain = Buffer.concat([decipher.update(blob.subarray(12, -16)), decipher.final()]);
			return { ...algorithm, Plaintext: plain.toString("base64") };
		} catch {
			throw new Refusal("InvalidCiphertextException");
		}
	}
	throw new Refusal("UnknownOperationException");
}

function contextOf(context: unknown): Buffer {
	const entries = Object.entries(context as Record<string, string>).toSorted();
	if (entries.some(([name, value]) => name.startsWith("aws:") || value === ""))
		throw new Refusal("ValidationException");
	return createHash("sha256").update(JSON.stringify(entries)).digest();
}

async function read(request: IncomingMessage): Promise<string> {
	const chunks: Buffer[] = [];
	for await (const chunk of request) chunks.push(chunk as Buffer);
	return Buffer.concat(chunks).toString("utf8");
}
