#!/usr/bin/env node
/**
 * A witness for Waxwing's ledger, to be run by somebody else: it remembers the newest checkpoint of each log that it has
 * seen, and co-signs the next one only with a proof that it continues the last. One file, Node 18 or later, nothing else.
 * C2SP tlog-witness over HTTP, tlog-cosignature (Ed25519, cosignature/v1); docs/operations/ledger.md tells how to run it.
 */
import {
	createHash,
	createPrivateKey,
	createPublicKey,
	randomBytes,
	sign,
	verify,
} from "node:crypto";
import * as fs from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

const usage = `waxwing-witness: co-signs checkpoints of Waxwing's ledger that continue those it has seen.

  waxwing-witness --state FOLDER --name NAME --log PREFIX=KEY [--log …] [--listen HOST:PORT]

  FOLDER   its key and what it has seen; back it up, and never run two witnesses on copies of it
  NAME     how it signs, for example witness.auditor.example/waxwing
  PREFIX   the first part of the origins that KEY signs, for example example.com/audit/
  KEY      the signer's public key, 64 hexadecimal digits (ledger/signer.pub of the data directory)
  --listen 127.0.0.1:8090 unless told; put a TLS-terminating proxy before it

POST /add-checkpoint co-signs (c2sp.org/tlog-witness). GET /checkpoint?origin=ORIGIN gives the newest co-signed one.`;

const bodyBytesMax = 64 * 1024;
const proofLinesMax = 63;
const logsMax = 100_000;
const requestTimeoutMs = 10_000;

class Misuse extends Error {}

/** What is answered instead of a signature. */
class Answer extends Error {
	constructor(status, text, type = "text/plain; charset=utf-8") {
		super(text);
		this.status = status;
		this.type = type;
	}
}

// The tree: RFC 6962 ------------------------------------------------------------------------------------------

const sha256 = (...parts) =>
	parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
const join2 = (left, right) => sha256(Buffer.of(1), left, right);

/** RFC 9162 §2.1.4.2: whether `proof` shows that the tree of `old` leaves is the beginning of that of `size`. 0 < old < size. */
function isContinued(old, oldRoot, size, root, proof) {
	let [at, last] = [old - 1, size - 1];
	while (at % 2 === 1) [at, last] = [(at - 1) / 2, Math.floor(last / 2)];
	const path = at === 0 ? [oldRoot, ...proof] : proof;
	if (path.length === 0) return false;
	let [was, is] = [path[0], path[0]];
	for (const other of path.slice(1)) {
		if (last === 0) return false;
		if (at % 2 === 1 || at === last) {
			was = join2(other, was);
			is = join2(other, is);
			while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, Math.floor(last / 2)];
		} else is = join2(is, other);
		[at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
	}
	return last === 0 && was.equals(oldRoot) && is.equals(root);
}

// Texts: signed notes -----------------------------------------------------------------------------------------

const publicPrefix = Buffer.from("302a300506032b6570032100", "hex");
const privatePrefix = Buffer.from("302e020100300506032b657004220420", "hex");
const logType = 1;
const cosignatureType = 4;

function publicKeyOf(bytes) {
	return createPublicKey({
		key: Buffer.concat([publicPrefix, bytes]),
		format: "der",
		type: "spki",
	});
}

function keyId(name, type, publicKey) {
	return sha256(`${name}\n`, Buffer.of(type), publicKey).subarray(0, 4);
}

function base64(text) {
	const bytes = Buffer.from(text, "base64");
	return bytes.toString("base64") === text ? bytes : undefined;
}

function hashOf(text) {
	const bytes = base64(text);
	return bytes?.length === 32 ? bytes : undefined;
}

function sizeOf(text) {
	return /^(0|[1-9][0-9]{0,15})$/.test(text) && Number.isSafeInteger(Number(text))
		? Number(text)
		: undefined;
}

/** The parts of a request's body. Throws 400 when it is none. */
function readRequest(text) {
	const malformed = (what) => new Answer(400, `${what}\n`);
	const cut = text.indexOf("\n\n");
	if (cut < 0) throw malformed("there is no empty line behind the proof");
	const [first, ...proofLines] = text.slice(0, cut).split("\n");
	const old = first.startsWith("old ") ? sizeOf(first.slice(4)) : undefined;
	if (old === undefined) throw malformed("the first line is not `old SIZE`");
	if (proofLines.length > proofLinesMax) throw malformed("the proof is too long");
	const proof = proofLines.map(hashOf);
	if (proof.includes(undefined)) throw malformed("a line of the proof is not a hash");
	const note = text.slice(cut + 2);
	const end = note.indexOf("\n\n");
	if (end < 0 || !note.endsWith("\n")) throw malformed("there is no checkpoint");
	const body = note.slice(0, end + 1);
	const [origin, sizeText, rootText, ...extensions] = body.slice(0, -1).split("\n");
	const [size, root] = [sizeOf(sizeText ?? ""), hashOf(rootText ?? "")];
	if (!origin || size === undefined || root === undefined || extensions.length > 0)
		throw malformed("the checkpoint does not have the three lines origin, size and root");
	return { old, proof, body, origin, size, root, signatures: note.slice(end + 2, -1).split("\n") };
}

function isSignedBy({ body, origin, signatures }, key) {
	const id = keyId(origin, logType, key.bytes);
	return signatures.some((line) => {
		const [dash, name, text, ...more] = line.split(" ");
		const bytes =
			dash === "—" && name === origin && more.length === 0 ? base64(text ?? "") : undefined;
		if (bytes?.length !== 68 || !bytes.subarray(0, 4).equals(id)) return false;
		return verify(null, Buffer.from(body), key.key, bytes.subarray(4));
	});
}

// What it has seen --------------------------------------------------------------------------------------------

/** Written whole under another name, synced, renamed, and the folder synced: after this returns it outlives a power cut. */
function writeDurably(folder, name, text) {
	const path = join(folder, name);
	const file = fs.openSync(`${path}.new`, "w", 0o600);
	try {
		fs.writeSync(file, text);
		fs.fsyncSync(file);
	} finally {
		fs.closeSync(file);
	}
	fs.renameSync(`${path}.new`, path);
	const directory = fs.openSync(folder, "r");
	try {
		fs.fsyncSync(directory);
	} finally {
		fs.closeSync(directory);
	}
}

/** When a process began, where the system tells: its number alone is given to another one some day. */
function startOf(pid) {
	try {
		return fs.readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1).split(" ")[19];
	} catch {
		return "";
	}
}

function isAlive(pid) {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return error.code === "EPERM";
	}
}

/** One process at a time: two on one folder could each co-sign another history. */
function takeLock(folder) {
	const path = join(folder, "lock");
	const own = `${path}.${process.pid}`;
	fs.writeFileSync(own, `${process.pid} ${startOf(process.pid)}\n`, { mode: 0o600 });
	try {
		for (let tries = 0; tries < 3; tries++) {
			try {
				fs.linkSync(own, path);
				return;
			} catch (error) {
				if (error.code !== "EEXIST") throw error;
			}
			const [pid, start] = fs.readFileSync(path, "utf8").trim().split(" ");
			if (isAlive(Number(pid)) && startOf(Number(pid)) === (start ?? ""))
				throw new Misuse(`A witness runs on ${folder} already (process ${pid}).`);
			fs.rmSync(path, { force: true });
		}
		throw new Misuse(`The lock ${path} cannot be taken.`);
	} finally {
		fs.rmSync(own, { force: true });
	}
}

/** The key, made at the first start; refused when others may read it, or when it is gone while there is something seen. */
function openKey(folder, name) {
	const path = join(folder, "witness.key");
	if (!fs.existsSync(path)) {
		if (fs.readdirSync(join(folder, "seen")).length > 0)
			throw new Misuse(
				`${path} is missing, but this witness has co-signed before. Put it back, or begin anew in an empty folder under another name.`,
			);
		writeDurably(folder, "witness.key", `${randomBytes(32).toString("hex")}\n`);
	}
	if ((fs.statSync(path).mode & 0o077) !== 0)
		throw new Misuse(`${path} may be read by others: chmod 600 it.`);
	const seed = fs.readFileSync(path, "latin1").trim();
	if (!/^[0-9a-f]{64}$/.test(seed))
		throw new Misuse(`${path} does not hold 64 hexadecimal digits.`);
	const der = Buffer.concat([privatePrefix, Buffer.from(seed, "hex")]);
	const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
	const bytes = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
	const id = keyId(name, cosignatureType, bytes);
	const typed = Buffer.concat([Buffer.of(cosignatureType), bytes]).toString("base64");
	return { key, id, verifierKey: `${name}+${id.toString("hex")}+${typed}` };
}

/** The newest co-signed checkpoint of each log, a file each, read when it is first asked for. */
function openSeen(folder) {
	const names = new Set(fs.readdirSync(folder).filter((name) => !name.endsWith(".new")));
	const nameOf = (origin) => sha256(origin).toString("hex");
	return {
		get(origin) {
			if (!names.has(nameOf(origin))) return { size: 0, root: sha256(), note: undefined };
			const {
				origin: stored,
				size,
				root,
				note,
			} = JSON.parse(fs.readFileSync(join(folder, nameOf(origin)), "utf8"));
			if (stored !== origin || !Number.isSafeInteger(size))
				throw new Error(`what was seen of ${origin} cannot be read`);
			return { size, root: Buffer.from(root, "base64"), note };
		},
		set(origin, { size, root, note }) {
			const name = nameOf(origin);
			if (!names.has(name) && names.size >= logsMax)
				throw new Answer(429, "this witness has as many logs as it may have\n");
			writeDurably(
				folder,
				name,
				JSON.stringify({ origin, size, root: root.toString("base64"), note }),
			);
			names.add(name);
		},
	};
}

// The protocol ------------------------------------------------------------------------------------------------

/**
 * Looks and remembers in one go: nothing here waits, so no other request comes between the look at what was seen and the
 * file on the disk. The signature leaves only after that.
 */
function addCheckpoint(text, { name, logs, key, seen, report }) {
	const asked = readRequest(text);
	const { old, proof, body, origin, size, root } = asked;
	const keys = logs.filter(({ prefix }) => origin.startsWith(prefix));
	if (keys.length === 0) throw new Answer(404, `${origin} is not a log that this witness knows\n`);
	if (!keys.some((one) => isSignedBy(asked, one)))
		throw new Answer(403, "no signature of a key that is trusted for this log\n");
	if (old > size) throw new Answer(400, "old is larger than the checkpoint\n");
	const known = seen.get(origin);
	if (old !== known.size) throw new Answer(409, `${known.size}\n`, "text/x.tlog.size");
	if (old === size && !root.equals(known.root)) {
		report("fork", {
			origin,
			size,
			seen: known.root.toString("base64"),
			shown: root.toString("base64"),
			request: text,
		});
		throw new Answer(409, `${known.size}\n`, "text/x.tlog.size");
	}
	const continues =
		old === 0 || old === size
			? proof.length === 0
			: isContinued(old, known.root, size, root, proof);
	if (!continues) {
		report("inconsistent", { origin, old, size, request: text });
		throw new Answer(422, "the proof does not show that this checkpoint continues the last one\n");
	}
	const time = Math.floor(Date.now() / 1_000);
	const stamp = Buffer.alloc(8);
	stamp.writeBigUInt64BE(BigInt(time));
	const sealed = sign(null, Buffer.from(`cosignature/v1\ntime ${time}\n${body}`), key.key);
	const line = `— ${name} ${Buffer.concat([key.id, stamp, sealed]).toString("base64")}\n`;
	const own = asked.signatures.filter((one) => one.split(" ")[1] === origin).join("\n");
	seen.set(origin, { size, root, note: `${body}\n${own}\n${line}` });
	return line;
}

function readBody(request) {
	return new Promise((resolve, reject) => {
		const parts = [];
		let bytes = 0;
		request.on("data", (part) => {
			bytes += part.length;
			if (bytes > bodyBytesMax) reject(new Answer(413, "the request is too long\n"));
			else parts.push(part);
		});
		request.on("end", () => {
			try {
				resolve(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(parts)));
			} catch {
				reject(new Answer(400, "the request is not UTF-8\n"));
			}
		});
		request.on("error", reject);
	});
}

async function answer(request, witness) {
	const url = new URL(request.url ?? "/", "http://witness");
	if (request.method === "POST" && url.pathname === "/add-checkpoint")
		return addCheckpoint(await readBody(request), witness);
	if (request.method !== "GET") throw new Answer(405, "POST /add-checkpoint, or GET\n");
	if (url.pathname === "/") return `${witness.key.verifierKey}\n`;
	const note =
		url.pathname === "/checkpoint"
			? witness.seen.get(url.searchParams.get("origin") ?? "").note
			: undefined;
	if (note === undefined) throw new Answer(404, "nothing has been seen of this log\n");
	return note;
}

function serve(witness, { host, port }) {
	const server = createServer(
		{ requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs },
		(request, response) => {
			const end = (status, type, text) => {
				const close = status === 413 ? { connection: "close" } : {};
				response.writeHead(status, { "content-type": type, "cache-control": "no-store", ...close });
				response.end(text);
			};
			answer(request, witness).then(
				(text) => end(200, "text/plain; charset=utf-8", text),
				(error) => {
					if (error instanceof Answer) return end(error.status, error.type, error.message);
					witness.report("failed", { why: error.message });
					return end(500, "text/plain; charset=utf-8", "this witness cannot work now\n");
				},
			);
		},
	);
	server.maxConnections = 256;
	server.on("error", (error) => {
		process.stderr.write(`${error.message}\n`);
		process.exit(2);
	});
	server.listen(port, host, () => {
		const { address, port: bound } = server.address();
		process.stdout.write(
			`${JSON.stringify({ event: "listening", url: `http://${address}:${bound}/`, key: witness.key.verifierKey })}\n`,
		);
	});
}

// Arguments ---------------------------------------------------------------------------------------------------

function argumentsOf(given) {
	const options = { listen: "127.0.0.1:8090", logs: [] };
	for (let i = 0; i < given.length; i += 2) {
		const [name, value] = [given[i], given[i + 1]];
		if (value === undefined || !["--state", "--name", "--log", "--listen"].includes(name))
			throw new Misuse(usage);
		if (name !== "--log") options[name.slice(2)] = value;
		else {
			const [, prefix, hex] = /^([^\s+=]{1,200})=([0-9a-f]{64})$/i.exec(value) ?? [];
			if (prefix === undefined)
				throw new Misuse("--log is PREFIX=KEY, the key in 64 hexadecimal digits");
			const bytes = Buffer.from(hex, "hex");
			options.logs.push({ prefix, bytes, key: publicKeyOf(bytes) });
		}
	}
	if (!options.state || !options.name || options.logs.length === 0) throw new Misuse(usage);
	if (!/^[A-Za-z0-9._~:/-]{1,200}$/.test(options.name))
		throw new Misuse("--name is like a host and a path, without spaces and plus");
	const [, host, port] = /^(.+):(\d{1,5})$/.exec(options.listen) ?? [];
	if (host === undefined || Number(port) > 65_535) throw new Misuse("--listen is HOST:PORT");
	return { ...options, host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
}

try {
	const { state, name, logs, host, port } = argumentsOf(process.argv.slice(2));
	fs.mkdirSync(join(state, "seen"), { recursive: true, mode: 0o700 });
	takeLock(state);
	const report = (event, what) =>
		process.stdout.write(`${JSON.stringify({ event, time: new Date().toISOString(), ...what })}\n`);
	serve(
		{ name, logs, key: openKey(state, name), seen: openSeen(join(state, "seen")), report },
		{ host, port },
	);
} catch (error) {
	if (!(error instanceof Misuse)) throw error;
	process.stderr.write(`${error.message}\n`);
	process.exitCode = 2;
}
