/**
 * Makes the cluster of an embedded PostgreSQL. initdb and the migrations take most of a first start, and give the same each
 * time: when the packages are installed one cluster is made as a template, and a first start copies that, gives it a password
 * of its own and has it written to the disk. Without a template of these packages, this schema and this user, initdb runs.
 */
import { execFile } from "node:child_process";
import {
	chownSync,
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { renameDurably, writeDurably } from "./durable-file.ts";
import { type As, chooseUser, commandAs, EmbeddedPostgresError } from "./embedded-user.ts";
import type { Random } from "./ids.ts";

const run = promisify(execFile);

export const superuser = "waxwing_root";
const makeMs = 60_000;
const makingPrefix = "postgres.making-";
const settings = [
	"-U",
	superuser,
	"-A",
	"scram-sha-256",
	"-E",
	"UTF8",
	"--locale-provider=builtin",
	"--builtin-locale=C.UTF-8",
	"--locale=C",
	"--data-checksums",
];

export interface ClusterParts {
	/** The folder of PostgreSQL's programs. */
	readonly binaries: string;
	readonly as: As | undefined;
	readonly random: Random;
	/** What a template's database must hold; none is copied unless given. */
	readonly schema: string | undefined;
}

/** Whether a cluster was made there. */
export function isCluster(path: string): boolean {
	return existsSync(join(path, "PG_VERSION"));
}

/** What makings that were cut off have left in this folder. */
export function clearMaking(folder: string): void {
	for (const name of readdirSync(folder)) {
		if (!name.startsWith(makingPrefix)) continue;
		try {
			rmSync(join(folder, name), { recursive: true, force: true });
		} catch {
			// An initdb that has outlived its start still writes there: it goes with the next start.
		}
	}
}

/** How a cluster was made: of the template, or, a second slower, by initdb. */
export type Making = "copied" | "initdb";

/**
 * Makes `cluster`, in `folder`, under another name first, so that what a start that was cut off has left is not taken for a
 * cluster. Throws an EmbeddedPostgresError with PostgreSQL's own words.
 */
export async function makeCluster(
	parts: ClusterParts,
	folder: string,
	cluster: string,
	password: string,
): Promise<Making> {
	const making = makingIn(folder, parts.random);
	try {
		makeFolder(making, parts.as);
		const isCopied = await copyTemplate(parts, making, password);
		if (!isCopied) await initdb(parts, making, password);
		// Of a cluster without PG_VERSION nothing was ever used.
		rmSync(cluster, { recursive: true, force: true });
		renameDurably(making, cluster);
		return isCopied ? "copied" : "initdb";
	} catch (cause) {
		rmSync(making, { recursive: true, force: true });
		throw new EmbeddedPostgresError(
			`PostgreSQL could not make its data directory: ${(cause as { stderr?: string }).stderr?.trim() ?? String(cause)}`,
			{ cause },
		);
	}
}

/** Its own name each time: an initdb that outlived its start still works in its own. */
function makingIn(folder: string, random: Random): string {
	return join(folder, `${makingPrefix}${random.bytes(6).toString("hex")}`);
}

function makeFolder(path: string, as: As | undefined): void {
	mkdirSync(path, { mode: 0o700 });
	if (as !== undefined) chownSync(path, as.uid, as.gid);
}

async function initdb(parts: ClusterParts, making: string, password: string): Promise<void> {
	const { as } = parts;
	const file = `${making}.password`;
	writeFileSync(file, password, { mode: 0o600 });
	if (as !== undefined) chownSync(file, as.uid, as.gid);
	try {
		const args = ["-D", making, ...settings, `--pwfile=${file}`];
		await program(parts, join(parts.binaries, "initdb"), args, making);
	} finally {
		rmSync(file, { force: true });
	}
}

/** Runs a program as PostgreSQL's user; throws with its words when it fails. */
async function program(
	{ as }: ClusterParts,
	path: string,
	args: readonly string[],
	cwd: string,
	input = "",
): Promise<void> {
	const [command, all, options] = commandAs(path, args, as);
	const running = run(command, all, { ...options, cwd, timeout: makeMs });
	running.child.stdin?.end(input);
	const { stderr } = await running;
	// A server alone says what was wrong with a statement, behind the time, and ends as if nothing had been.
	if (/\b(ERROR|FATAL|PANIC): /.test(stderr)) throw Object.assign(new Error(stderr), { stderr });
}

// The template ---------------------------------------------------------------------------------------------------

interface Template {
	/** Holds `cluster` and `madeWith`. */
	readonly folder: string;
	readonly cluster: string;
	/** A file that says of which program, with which settings and schema; written last. */
	readonly madeWith: string;
	readonly wanted: string;
}

function templateOf({
	binaries,
	schema = "",
}: Pick<ClusterParts, "binaries" | "schema">): Template {
	const { version } = JSON.parse(readFileSync(join(binaries, "../../package.json"), "utf8")) as {
		version: string;
	};
	const folder = join(binaries, "../../../../.cache/waxwing-postgres");
	const wanted = `${[version, ...settings].join(" ")}\n${schema}\n`;
	return { folder, cluster: join(folder, "cluster"), madeWith: join(folder, "made-with"), wanted };
}

/** PostgreSQL reads no cluster of another user's. */
function isUsable({ cluster, madeWith, wanted }: Template, as: As | undefined): boolean {
	try {
		return (
			readFileSync(madeWith, "utf8") === wanted &&
			isCluster(cluster) &&
			statSync(cluster).uid === (as?.uid ?? process.getuid?.())
		);
	} catch {
		return false;
	}
}

/**
 * Keeps a template of this schema beside the packages, unless it is there: `make` makes a cluster in the data directory it
 * is given, and leaves no server. Throws when this user may not write there.
 */
export async function keepTemplate(
	parts: Omit<ClusterParts, "as">,
	make: (dataDir: string) => Promise<void>,
): Promise<void> {
	const template = templateOf(parts);
	const { folder, cluster, madeWith, wanted } = template;
	const as = chooseUser(folder, parts.binaries);
	if (isUsable(template, as)) return;
	mkdirSync(folder, { recursive: true });
	clearMaking(folder);
	const making = makingIn(folder, parts.random);
	try {
		await make(making);
		rmSync(madeWith, { force: true });
		rmSync(cluster, { recursive: true, force: true });
		renameDurably(join(making, "postgres"), cluster);
		writeDurably(madeWith, wanted);
	} finally {
		rmSync(making, { recursive: true, force: true });
	}
}

/**
 * Copies the template into the present folder, has a server alone read a statement there, and writes all to the disk. One
 * process, for ours is loading modules meanwhile and would not notice the end of each.
 */
const copyScript = `cp -Rp "$1/." . && "$2/postgres" --single -F -D . -c shared_buffers=16MB template1 && exec "$2/initdb" --sync-only -D .`;

/** False when there is none to copy, or it cannot be copied. */
async function copyTemplate(
	parts: ClusterParts,
	making: string,
	password: string,
): Promise<boolean> {
	const { binaries, as, schema } = parts;
	if (schema === undefined) return false;
	if (!/^[\w-]+$/.test(password)) throw new RangeError("a password of base64url");
	try {
		const template = templateOf(parts);
		if (!isUsable(template, as)) return false;
		const args = ["-c", copyScript, "sh", template.cluster, binaries];
		const statement = `alter role ${superuser} password '${password}'\n`;
		await program(parts, "sh", args, making, statement);
		return true;
	} catch {
		rmSync(making, { recursive: true, force: true });
		makeFolder(making, as);
		return false;
	}
}
