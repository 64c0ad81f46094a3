#!/usr/bin/env node
/**
 * Checks Waxwing's ledger offline: a proof that an entry is in it, that a message is stored as it was accepted, that a
 * person's key was destroyed, that one checkpoint continues another, a full export. One file, Node 18 or later, nothing else; it shares no code with the server it checks. What is trusted
 * is what you give it: the log's origin and the signer's public key. The formats are RFC 6962's tree and C2SP's
 * signed-note, tlog-checkpoint and tlog-proof; docs/guides/verify-the-ledger.md describes them.
 */
import { createHash, createPublicKey, verify } from "node:crypto";
import { createReadStream, readFileSync, realpathSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const usage = `waxwing-verify: checks Waxwing's ledger offline.

  waxwing-verify entry PROOF --origin ORIGIN --key KEY
  waxwing-verify message PROOF --origin ORIGIN --key KEY
  waxwing-verify certificate CERTIFICATE --origin ORIGIN --key KEY
  waxwing-verify consistency OLD-CHECKPOINT NEW-CHECKPOINT PROOF --origin ORIGIN --key KEY
  waxwing-verify full EXPORT --origin ORIGIN --key KEY [--newest CHECKPOINT]

  ORIGIN    the log, for example example.com/audit/ten_01k…/e1
  KEY       the signer's key: ORIGIN+ID+BASE64 as the API shows it, or 64 hexadecimal digits
  --newest  a checkpoint you kept: the export must reach it and agree with it
  --witness KEY      a witness's key, NAME+ID+BASE64; may be given again. The checkpoint must be co-signed: of a full
                     export some checkpoint, of two checkpoints the new one
  --witnesses COUNT  how many of them must have co-signed; all unless told
  --json    answer in JSON

Exit status: 0 verified, 1 not verified, 2 it could not be tried.`;

/** Not verified: what was looked at is not what was signed. */
class Refusal extends Error {}
/** Could not be tried. */
class Misuse extends Error {}

function refuse(condition, why) {
	if (condition) throw new Refusal(why);
}

// The tree ---------------------------------------------------------------------------------------------------

const leafOf = (bytes) => createHash("sha256").update(Buffer.of(0)).update(bytes).digest();
const join = (left, right) =>
	createHash("sha256").update(Buffer.of(1)).update(left).update(right).digest();

/** The largest power of two smaller than n, for n > 1. */
function split(n) {
	let k = 1;
	while (k * 2 < n) k *= 2;
	return k;
}

/** RFC 6962 §2.1.1 read backwards: the root of n leaves, from leaf m and its path. */
function rootFromPath(m, n, leaf, path) {
	if (n === 1) {
		refuse(path.length > 0, "the path is too long");
		return leaf;
	}
	refuse(path.length === 0, "the path is too short");
	const k = split(n);
	const rest = path.slice(0, -1);
	const last = path[path.length - 1];
	return m < k
		? join(rootFromPath(m, k, leaf, rest), last)
		: join(last, rootFromPath(m - k, n - k, leaf, rest));
}

/** RFC 6962 §2.1.2 read backwards: the roots of the first m and of all n leaves. `known` is the old root. */
function rootsFromProof(m, n, proof, known, whole) {
	if (m === n) {
		if (whole) {
			refuse(proof.length > 0, "the proof is too long");
			return [known, known];
		}
		refuse(proof.length !== 1, "the proof has the wrong length");
		return [proof[0], proof[0]];
	}
	refuse(proof.length === 0, "the proof is too short");
	const k = split(n);
	const rest = proof.slice(0, -1);
	const last = proof[proof.length - 1];
	if (m <= k) {
		const [old, now] = rootsFromProof(m, k, rest, known, whole);
		return [old, join(now, last)];
	}
	const [old, now] = rootsFromProof(m - k, n - k, rest, known, false);
	return [join(last, old), join(last, now)];
}

/** Grows a tree leaf by leaf; holds one hash per complete subtree. */
class Tree {
	size = 0;
	#peaks = [];

	add(leaf) {
		let node = { hash: leaf, leaves: 1 };
		for (let top = this.#peaks.at(-1); top?.leaves === node.leaves; top = this.#peaks.at(-1)) {
			this.#peaks.pop();
			node = { hash: join(top.hash, node.hash), leaves: 2 * node.leaves };
		}
		this.#peaks.push(node);
		this.size++;
	}

	root() {
		if (this.size === 0) return createHash("sha256").digest();
		return this.#peaks.map(({ hash }) => hash).reduceRight((right, left) => join(left, right));
	}
}

// Texts ------------------------------------------------------------------------------------------------------

/** Base64 as RFC 4648 writes it, and no other way of writing the same bytes. */
function base64(text, what) {
	const bytes = Buffer.from(text, "base64");
	refuse(bytes.toString("base64") !== text, `${what} is not Base64`);
	return bytes;
}

function hash(text, what) {
	const bytes = base64(text, what);
	refuse(bytes.length !== 32, `${what} is not a SHA-256`);
	return bytes;
}

function number(text, what) {
	refuse(
		!/^(0|[1-9][0-9]{0,15})$/.test(text) || !Number.isSafeInteger(Number(text)),
		`${what} is not a number`,
	);
	return Number(text);
}

function publicKeyOf(given, origin) {
	let bytes;
	if (/^[0-9a-f]{64}$/i.test(given)) bytes = Buffer.from(given, "hex");
	else {
		const [, name, id, text] = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(given) ?? [];
		const typed = Buffer.from(text ?? "", "base64");
		if (typed.length !== 33 || typed[0] !== 1) throw new Misuse("--key is not an Ed25519 key");
		if (name !== origin) throw new Misuse("--key is the key of another origin");
		bytes = typed.subarray(1);
		if (keyId(origin, bytes).toString("hex") !== id) throw new Misuse("--key has a wrong id");
	}
	return { bytes, key: edKey(bytes) };
}

function edKey(bytes) {
	const prefix = Buffer.from("302a300506032b6570032100", "hex");
	return createPublicKey({ key: Buffer.concat([prefix, bytes]), format: "der", type: "spki" });
}

function keyId(name, publicKey) {
	const bytes = Buffer.concat([Buffer.from(`${name}\n\x01`, "latin1"), publicKey]);
	return createHash("sha256").update(bytes).digest().subarray(0, 4);
}

/** The size and root that the pinned key has signed for the pinned origin. */
function checkpointOf(text, { origin, publicKey }) {
	refuse(typeof text !== "string" || text.length > 100_000, "there is no checkpoint");
	const end = text.lastIndexOf("\n\n");
	refuse(end < 0 || !text.endsWith("\n"), "the checkpoint is not a signed note");
	const body = text.slice(0, end + 1);
	const lines = body.split("\n");
	refuse(lines.length !== 4, "the checkpoint does not have three lines");
	refuse(lines[0] !== origin, `the checkpoint is of ${lines[0]}, not of ${origin}`);
	let signed = false;
	for (const line of text.slice(end + 2, -1).split("\n")) {
		const [dash, name, signature, ...more] = line.split(" ");
		refuse(dash !== "—" || !name || !signature || more.length > 0, "a signature line is malformed");
		const bytes = Buffer.from(signature, "base64");
		if (name !== origin || !bytes.subarray(0, 4).equals(keyId(origin, publicKey.bytes))) continue;
		refuse(signed, "the checkpoint is signed twice with one key");
		base64(signature, "the signature");
		refuse(
			bytes.length !== 68 || !verify(null, Buffer.from(body), publicKey.key, bytes.subarray(4)),
			"the checkpoint's signature is not valid",
		);
		signed = true;
	}
	refuse(!signed, "the checkpoint is not signed with the pinned key");
	return { size: number(lines[1], "the size"), root: hash(lines[2], "the root") };
}

/** A witness's name and key: C2SP tlog-cosignature, Ed25519. */
function witnessOf(given) {
	const [, name, id, text] = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})$/.exec(given) ?? [];
	const typed = Buffer.from(text ?? "", "base64");
	if (typed.length !== 33 || typed[0] !== 4) throw new Misuse("--witness is not a witness's key");
	const key = edKey(typed.subarray(1));
	const expected = createHash("sha256").update(`${name}\n`).update(typed).digest().subarray(0, 4);
	if (expected.toString("hex") !== id) throw new Misuse("--witness has a wrong id");
	return { name, id: expected, key };
}

/** How many of the pinned witnesses have co-signed the checkpoint; a line of theirs that does not verify is refused. */
function cosignersOf(text, witnesses) {
	const end = text.lastIndexOf("\n\n");
	const body = text.slice(0, end + 1);
	const lines = text
		.slice(end + 2, -1)
		.split("\n")
		.map((line) => line.split(" "));
	return witnesses.filter(({ name, id, key }) => {
		const line = lines.find(
			([, signer, given]) =>
				signer === name && Buffer.from(given, "base64").subarray(0, 4).equals(id),
		);
		if (line === undefined) return false;
		const bytes = base64(line[2], "a cosignature");
		refuse(bytes.length !== 76, `the cosignature of ${name} is malformed`);
		const time = bytes.readBigUInt64BE(4);
		const message = Buffer.from(`cosignature/v1\ntime ${time}\n${body}`);
		refuse(
			!verify(null, message, key, bytes.subarray(12)),
			`the cosignature of ${name} is not valid`,
		);
		return true;
	}).length;
}

function isWitnessed(text, { witnesses, needed }) {
	return cosignersOf(text, witnesses) >= needed;
}

function requireWitnesses(text, pinned) {
	refuse(
		!isWitnessed(text, pinned),
		`fewer than ${pinned.needed} of the witnesses have co-signed the checkpoint`,
	);
}

/** The entry's facts; refuses what is no entry of this log. */
function entryOf(bytes, origin) {
	let entry;
	try {
		entry = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
	} catch {
		throw new Refusal("the entry is not JSON");
	}
	refuse(entry?.v !== 1, "the entry's version is not known to this program");
	refuse(origin.split("/").at(-2) !== entry.log, `the entry is of the log ${entry.log}`);
	return entry;
}

// Commands ---------------------------------------------------------------------------------------------------

/** A file's text; what the API answered is JSON around it: one field of it, or without a field all. */
function read(file, field) {
	let text;
	try {
		text = readFileSync(file, "utf8");
	} catch (error) {
		throw new Misuse(`${file} cannot be read: ${error.message}`);
	}
	if (!text.startsWith("{")) return text;
	try {
		const answer = JSON.parse(text);
		return field === undefined ? answer : answer[field];
	} catch {
		throw new Misuse(`${file} is not the API's JSON`);
	}
}

function verifyEntry([file], pinned) {
	return provenEntry(read(file, "proof"), pinned);
}

/** What a tlog-proof of an entry shows: its place, the checkpoint's size, its facts. */
function provenEntry(text, pinned) {
	refuse(typeof text !== "string", "there is no proof");
	const cut = text.indexOf("\n\n");
	refuse(cut < 0, "the proof has no checkpoint");
	const [title, ...lines] = text.slice(0, cut).split("\n");
	refuse(
		title !== "c2sp.org/tlog-proof@v1",
		"it is not a proof of the form c2sp.org/tlog-proof@v1",
	);
	const extra = lines[0]?.startsWith("extra ") ? lines.shift().slice(6) : undefined;
	refuse(extra === undefined, "the proof does not hold its entry");
	refuse(!lines[0]?.startsWith("index "), "the proof has no index");
	const index = number(lines.shift().slice(6), "the index");
	const path = lines.map((line) => hash(line, "a line of the path"));
	const note = text.slice(cut + 2);
	const checkpoint = checkpointOf(note, pinned);
	requireWitnesses(note, pinned);
	const bytes = base64(extra, "the entry");
	refuse(index >= checkpoint.size, "the index is beyond the checkpoint");
	const root = rootFromPath(index, checkpoint.size, leafOf(bytes), path);
	refuse(!root.equals(checkpoint.root), "the entry is not what was signed");
	return { index, size: checkpoint.size, entry: entryOf(bytes, pinned.origin) };
}

/** A file of the API's JSON, whole. */
function readAnswer(file) {
	const wrapped = read(file, undefined);
	if (typeof wrapped === "string") throw new Misuse(`${file} is not the API's JSON`);
	return wrapped;
}

function verifyMessage([file], pinned) {
	const { message_id: id, leaf, message, path, proof } = readAnswer(file);
	const { index, size, entry } = provenEntry(proof, pinned);
	refuse(entry.action !== "messages.accepted", "the entry is not one of messages");
	refuse(typeof message !== "string" || !Array.isArray(path), "there is no message, or no path");
	const bytes = base64(message, "the message");
	let at = createHash("sha256").update(bytes).digest();
	refuse(leaf !== at.toString("hex"), "the leaf is not the message's");
	for (const step of path) at = stepUp(at, step);
	refuse(at.toString("hex") !== entry.data.root, "the message is not what the entry holds");
	const facts = messageOf(bytes);
	refuse(shownId("msg", facts.id) !== id, "the message has another id than the proof says");
	refuse(shownId("ten", facts.tenant_id) !== entry.log, "the message is of another tenant");
	return { index, size, entry, message: { message_id: id, ...facts } };
}

/** A node of the messages' tree has up to 32 children; the one that is proven must be at its position. */
function stepUp(at, step) {
	const { position, hashes } = step ?? {};
	refuse(!Array.isArray(hashes) || hashes.length > 32, "a step of the path is malformed");
	const children = hashes.map((text) => hash(String(text), "a hash of the path"));
	refuse(!Number.isInteger(position), "a step of the path has no position");
	refuse(!children[position]?.equals(at), "a step of the path does not hold the one below it");
	return createHash("sha256").update(Buffer.of(1)).update(Buffer.concat(children)).digest();
}

/** Reads the bytes that are hashed of a message: lines, then octets behind their lengths. */
function messageOf(bytes) {
	const lines = [];
	let from = 0;
	while (lines.length < 20) {
		const to = bytes.indexOf(10, from);
		refuse(to < 0, "the message's header is cut off");
		lines.push(bytes.subarray(from, to).toString("utf8"));
		from = to + 1;
	}
	refuse(
		lines[0] !== "\0waxwing message 1" || lines[19] !== "",
		"the message has another form than this program knows",
	);
	const said = (line) => (line.startsWith("=") ? line.slice(1) : null);
	const time = (line) => (line === "" ? null : new Date(Number(line) / 1000).toISOString());
	const octets = [];
	while (octets.length < 5) {
		refuse(from + 4 > bytes.length, "the message's octets are cut off");
		const length = bytes.readUInt32BE(from);
		const isNull = length === 0xffffffff;
		refuse(!isNull && from + 4 + length > bytes.length, "the message's octets are cut off");
		octets.push(isNull ? null : bytes.subarray(from + 4, from + 4 + length));
		from += 4 + (isNull ? 0 : length);
	}
	refuse(from !== bytes.length, "there is more than the message");
	return {
		tenant_id: lines[1],
		environment: lines[2],
		id: lines[3],
		direction: lines[4],
		class: Number(lines[5]),
		segments: Number(lines[7]),
		country: lines[9],
		created_at: time(lines[12]),
		ruleset: said(lines[15]),
		verdicts: said(lines[16]),
		deferred_until: time(lines[17]),
		cleared_until: time(lines[18]),
		sealed_sha256: createHash("sha256").update(octets[4]).digest("hex"),
	};
}

/** A UUID as the API shows it: prefix and 26 letters of Crockford's base 32. */
function shownId(prefix, uuid) {
	const letters = "0123456789abcdefghjkmnpqrstvwxyz";
	let number = BigInt(`0x${uuid.replaceAll("-", "") || "0"}`);
	let text = "";
	for (let i = 0; i < 26; i++, number >>= 5n) text = letters[Number(number & 31n)] + text;
	return `${prefix}_${text}`;
}

function verifyCertificate([file], pinned) {
	const { id, status, ledger_proof: given } = readAnswer(file);
	refuse(!given, `the certificate holds no proof; it is ${status}`);
	const found = provenEntry(given.proof, pinned);
	const { action, outcome, targets } = found.entry;
	refuse(action !== "contact.erased" || outcome !== "ok", "the entry is not one of an erasure");
	refuse(!targets.includes(id), "the entry is of another erasure");
	return { ...found, certificate: { id, status } };
}

function verifyConsistency([oldFile, newFile, proofFile], pinned) {
	const old = checkpointOf(read(oldFile, "checkpoint"), pinned);
	const newNote = read(newFile, "checkpoint");
	const now = checkpointOf(newNote, pinned);
	requireWitnesses(newNote, pinned);
	const given = read(proofFile, "proof");
	const list = typeof given === "string" ? given.split("\n").filter((line) => line !== "") : given;
	refuse(!Array.isArray(list), "there is no proof");
	const proof = list.map((line) => hash(String(line), "a line of the proof"));
	refuse(old.size > now.size, "the new checkpoint is smaller than the old one");
	if (old.size === 0) {
		refuse(proof.length > 0, "the proof is too long");
		refuse(!old.root.equals(new Tree().root()), "the old root is not that of an empty log");
	} else {
		const [oldRoot, newRoot] = rootsFromProof(old.size, now.size, proof, old.root, true);
		const same = oldRoot.equals(old.root) && newRoot.equals(now.root);
		refuse(!same, "the new checkpoint does not continue the old one");
	}
	return { from: old.size, to: now.size };
}

/** The pinned witnesses, each once, and how many of them are needed. */
function witnessesOf({ witness, witnesses: count }) {
	const witnesses = [...new Set(witness)].map(witnessOf);
	const needed = count === undefined ? witnesses.length : Number(count);
	if (!/^[1-9][0-9]{0,2}$/.test(count ?? "1") || needed > witnesses.length)
		throw new Misuse("--witnesses is a number from 1 to that of the --witness given");
	return { witnesses, needed };
}

async function verifyFull([file], pinned, newestFile) {
	const newestNote = newestFile === undefined ? undefined : read(newestFile, "checkpoint");
	const newest = newestFile === undefined ? undefined : checkpointOf(newestNote, pinned);
	const tree = new Tree();
	const result = { entries: 0, checkpoints: 0, details: 0, details_gone: 0, witnessed: 0 };
	let reached = -1;
	const compare = (checkpoint, what) => {
		const same = tree.root().equals(checkpoint.root);
		refuse(!same, `the first ${tree.size} entries are not what was signed (${what})`);
	};
	const page = (text) => {
		const { entries, checkpoints } = pageOf(text);
		const signed = new Map();
		for (const note of checkpoints) {
			const checkpoint = checkpointOf(note, pinned);
			signed.set(checkpoint.size, checkpoint);
			if (isWitnessed(note, pinned)) result.witnessed = Math.max(result.witnessed, checkpoint.size);
		}
		result.checkpoints += checkpoints.length;
		for (const one of entries) {
			refuse(
				one?.index !== tree.size,
				`entry ${tree.size} is missing, doubled or out of its place`,
			);
			tree.add(leafOf(lookAt(one, tree.size, pinned.origin, result)));
			const checkpoint = signed.get(tree.size);
			if (checkpoint !== undefined) compare(checkpoint, "checkpoint of the export");
			if (checkpoint !== undefined) reached = tree.size;
			signed.delete(tree.size);
			if (newest?.size === tree.size) compare(newest, "--newest");
		}
		refuse(
			signed.size > 0,
			`a checkpoint of ${[...signed.keys()][0]} entries does not fit its page`,
		);
	};
	const input = createReadStream(file);
	const broken = new Promise((_, reject) => {
		input.once("error", (error) => reject(new Misuse(`${file} cannot be read: ${error.message}`)));
	});
	const lines = createInterface({ input, crlfDelay: Infinity });
	const readAll = async () => {
		for await (const line of lines) if (line.trim() !== "") page(line);
	};
	await Promise.race([readAll(), broken]);
	refuse(tree.size === 0, "the export holds no entry");
	refuse(reached !== tree.size, "the export does not end at a checkpoint");
	refuse(newest !== undefined && newest.size > tree.size, "the export ends before --newest");
	if (newest !== undefined && isWitnessed(newestNote, pinned))
		result.witnessed = Math.max(result.witnessed, newest.size);
	refuse(
		pinned.needed > 0 && result.witnessed === 0,
		`no checkpoint of the export is co-signed by ${pinned.needed} of the witnesses`,
	);
	if (pinned.needed === 0) delete result.witnessed;
	result.entries = tree.size;
	return { ...result, root: tree.root().toString("base64") };
}

function pageOf(text) {
	let value;
	try {
		value = JSON.parse(text);
	} catch {
		throw new Refusal("a line of the export is not JSON");
	}
	const { entries, checkpoints } = value ?? {};
	refuse(!Array.isArray(entries) || !Array.isArray(checkpoints), "a line is no page of an export");
	return { entries, checkpoints };
}

/** The bytes of one exported entry, after what is beside them has been compared with them. */
function lookAt({ entry, detail_sealed: sealed }, index, origin, result) {
	refuse(typeof entry !== "string", `entry ${index} has no bytes`);
	const bytes = base64(entry, `entry ${index}`);
	const { detail_sha256: digest } = entryOf(bytes, origin);
	if (digest === null) refuse(sealed !== null, `entry ${index} has a detail that it does not name`);
	else if (sealed === null) result.details_gone++;
	else {
		const found = createHash("sha256").update(base64(String(sealed), `the detail of ${index}`));
		refuse(found.digest("hex") !== digest, `the detail of entry ${index} was changed`);
		result.details++;
	}
	return bytes;
}

// Arguments --------------------------------------------------------------------------------------------------

const commands = {
	entry: { files: 1, run: verifyEntry },
	message: { files: 1, run: verifyMessage },
	certificate: { files: 1, run: verifyCertificate },
	consistency: { files: 3, run: verifyConsistency },
	full: { files: 1, run: verifyFull },
};

function argumentsOf(given) {
	const options = { witness: [] };
	const files = [];
	for (let i = 0; i < given.length; i++) {
		const name = given[i];
		if (name === "--json") options.json = true;
		else if (["--origin", "--key", "--newest", "--witness", "--witnesses"].includes(name)) {
			if (given[i + 1] === undefined) throw new Misuse(`${name} needs a value`);
			if (name === "--witness") options.witness.push(given[++i]);
			else options[name.slice(2)] = given[++i];
		} else if (name.startsWith("--")) throw new Misuse(`${name} is not known`);
		else files.push(name);
	}
	return { options, files };
}

/** Does what the arguments say and tells the outcome with `print`; gives the exit status. */
export async function main(given, print) {
	const json = given.includes("--json");
	const say = (answer, sentence) => print(json ? JSON.stringify(answer) : sentence);
	try {
		const { options, files } = argumentsOf(given);
		const [name, ...rest] = files;
		const command = Object.hasOwn(commands, name ?? "") ? commands[name] : undefined;
		if (command === undefined || rest.length !== command.files) throw new Misuse(usage);
		if (!options.origin || !options.key)
			throw new Misuse("--origin and --key are needed: they are what is trusted");
		const pinned = {
			origin: options.origin,
			publicKey: publicKeyOf(options.key, options.origin),
			...witnessesOf(options),
		};
		const found = await command.run(rest, pinned, options.newest);
		say({ verified: true, command: name, ...found }, `verified: ${describe(name, found)}`);
		return 0;
	} catch (error) {
		const tried = error instanceof Refusal;
		if (!tried && !(error instanceof Misuse)) throw error;
		say(
			{ verified: false, tried, why: error.message },
			tried ? `NOT VERIFIED: ${error.message}` : error.message,
		);
		return tried ? 1 : 2;
	}
}

function describe(name, found) {
	if (name === "entry") {
		const { entry, index, size } = found;
		return `entry ${index} of ${size}: ${entry.time} ${entry.actor.id ?? entry.actor.type} ${entry.action} (${entry.outcome}) ${entry.targets.join(" ")}`.trimEnd();
	}
	if (name === "message") {
		const { message, entry } = found;
		return `message ${message.message_id} (${message.direction}, ${message.environment}) of ${message.created_at} is stored as entry ${found.index} of ${entry.time} holds it`;
	}
	if (name === "certificate")
		return `erasure ${found.certificate.id} (${found.certificate.status}): entry ${found.index} of ${found.size}: ${found.entry.time}`;
	if (name === "consistency") return `${found.to} entries continue ${found.from}`;
	const witnessed =
		found.witnessed === undefined ? "" : `; ${found.witnessed} entries are witnessed`;
	return `${found.entries} entries, ${found.checkpoints} checkpoints, ${found.details} details (${found.details_gone} gone)${witnessed}`;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url))
	process.exitCode = await main(process.argv.slice(2), (line) => process.stdout.write(`${line}\n`));
