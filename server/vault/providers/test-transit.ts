/**
 * A stand-in for the transit secrets engine of HashiCorp Vault and OpenBao on loopback: the paths, members and answers
 * of its published HTTP API that we use, with real AES-256-GCM, versions and trimming. It refuses everything else.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { after } from "node:test";

export interface TestTransit {
	readonly url: string;
	readonly token: string;
	/** Every request, as `path {body}`. */
	readonly asked: string[];
	/** Answers every request so from now on, until it is undefined again; `after`: not before this. */
	answer: { status: number; body: string; after?: Promise<void> } | undefined;
}

interface Ring {
	readonly versions: Map<number, Buffer>;
	latest: number;
	minDecryption: number;
}

class Refusal extends Error {}

const actions: Readonly<
	Record<
		string,
		{ members: readonly string[]; run: (ring: Ring, body: Body) => object | undefined }
	>
> = {
	encrypt: {
		members: ["plaintext", "associated_data"],
		run(ring, body) {
			const nonce = randomBytes(12);
			const cipher = createCipheriv("aes-256-gcm", ring.versions.get(ring.latest) as Buffer, nonce);
			cipher.setAAD(base64(body["associated_data"]));
			const bytes = [cipher.update(base64(body["plaintext"])), cipher.final()];
			const all = Buffer.concat([nonce, ...bytes, cipher.getAuthTag()]);
			const ciphertext = `vault:v${ring.latest}:${all.toString("base64")}`;
			return { ciphertext, key_version: ring.latest };
		},
	},
	decrypt: {
		members: ["ciphertext", "associated_data"],
		run(ring, body) {
			const [, version, text] = /^vault:v(\d+):(.+)$/.exec(String(body["ciphertext"])) ?? [];
			const key = ring.versions.get(Number(version));
			if (key === undefined || Number(version) < ring.minDecryption)
				throw new Refusal("ciphertext or signature version is disallowed by policy (too old)");
			const all = base64(text);
			const decipher = createDecipheriv("aes-256-gcm", key, all.subarray(0, 12));
			decipher.setAAD(base64(body["associated_data"]));
			decipher.setAuthTag(all.subarray(-16));
			try {
				const plain = [decipher.update(all.subarray(12, -16)), decipher.final()];
				return { plaintext: Buffer.concat(plain).toString("base64") };
			} catch {
				throw new Refusal("cipher: message authentication failed");
			}
		},
	},
	rotate: {
		members: [],
		run(ring) {
			ring.versions.set(++ring.latest, randomBytes(32));
			return undefined;
		},
	},
	config: {
		members: ["min_decryption_version", "min_encryption_version"],
		run(ring, body) {
			ring.minDecryption = Number(body["min_decryption_version"]);
			return undefined;
		},
	},
	trim: {
		members: ["min_available_version"],
		run(ring, body) {
			const least = Number(body["min_available_version"]);
			if (least > ring.minDecryption) throw new Refusal("greater than min_decryption_version");
			for (const version of ring.versions.keys())
				if (version < least) ring.versions.delete(version);
			return undefined;
		},
	},
};

type Body = Readonly<Record<string, unknown>>;

export async function startTransit(keyName: string): Promise<TestTransit> {
	const token = `hvs.${randomBytes(24).toString("base64url")}`;
	const ring: Ring = { versions: new Map([[1, randomBytes(32)]]), latest: 1, minDecryption: 1 };
	const server = createServer((request, response) => {
		void read(request).then(async (text) => {
			const path = String(request.url);
			state.asked.push(`${path} ${text}`);
			const { answer } = state;
			await answer?.after;
			const { status, body } = answer ?? reply(ring, keyName, token, request, text);
			response.writeHead(status, { "content-type": "application/json" }).end(body);
		});
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	after(() => {
		server.close();
		server.closeAllConnections();
	});
	const { port } = server.address() as AddressInfo;
	const state: TestTransit = {
		url: `http://127.0.0.1:${port}/v1/transit`,
		token,
		asked: [],
		answer: undefined,
	};
	return state;
}

function reply(ring: Ring, keyName: string, token: string, request: IncomingMessage, text: string) {
	const failed = (status: number, error: string) => ({
		status,
		body: JSON.stringify({ errors: [error] }),
	});
	if (request.headers["x-vault-token"] !== token) return failed(403, "permission denied");
	const [, on, , verb] =
		/^\/v1\/transit\/((encrypt|decrypt)\/[^/]+|keys\/[^/]+\/(rotate|config|trim))$/.exec(
			String(request.url),
		) ?? [];
	const name = on?.split("/")[1];
	const action = actions[verb ?? on?.split("/")[0] ?? ""];
	if (request.method !== "POST" || action === undefined) return failed(404, "unsupported path");
	if (name !== keyName) return failed(400, "encryption key not found");
	const body = JSON.parse(text) as Body;
	const members = Object.keys(body).toSorted().join();
	if (members !== action.members.toSorted().join()) return failed(400, `members: ${members}`);
	try {
		const data = action.run(ring, body);
		if (data === undefined) return { status: 204, body: "" };
		const envelope = {
			request_id: randomBytes(16).toString("hex"),
			lease_id: "",
			renewable: false,
		};
		const rest = { lease_duration: 0, data, wrap_info: null, warnings: null, auth: null };
		return { status: 200, body: JSON.stringify({ ...envelope, ...rest }) };
	} catch (error) {
		if (error instanceof Refusal) return failed(400, error.message);
		throw error;
	}
}

function base64(text: unknown): Buffer {
	if (typeof text !== "string" || !/^[A-Za-z0-9+/]*={0,2}$/.test(text))
		throw new Refusal("illegal base64 data");
	return Buffer.from(text, "base64");
}

async function read(request: IncomingMessage): Promise<string> {
	const chunks: Buffer[] = [];
	for await (const chunk of request) chunks.push(chunk as Buffer);
	return Buffer.concat(chunks).toString("utf8");
}
