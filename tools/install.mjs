/**
 * Installs the packages when they are missing or differ from package-lock.json, and says nothing when
 * all is well. Runs before every script, on whatever Node started npm (20.17 or later), so it is plain
 * JavaScript without dependencies. Two runs at once install once; the second waits.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = process.env.WAXWING_TEST_INSTALL_ROOT ?? fileURLToPath(new URL("..", import.meta.url));
const modules = join(root, "node_modules");
const stamp = join(modules, ".waxwing-lock-sha256");
const lockDirectory = join(root, "tmp", "installing");
const holder = join(lockDirectory, "pid");

/** A lock older than this is left over: no install takes so long. */
const lockMs = 15 * 60_000;

main();

function main() {
	const wanted = readFileSync(join(root, "package-lock.json"));
	const hash = createHash("sha256").update(wanted).digest("hex");
	if (isFresh(hash, wanted)) return;
	takeLock();
	try {
		if (isFresh(hash, wanted)) return;
		install();
		write(stamp, hash);
	} finally {
		rmSync(lockDirectory, { recursive: true, force: true });
	}
}

function isFresh(hash, wanted) {
	if (!existsSync(join(modules, ".bin", "node"))) return false;
	if (read(stamp) === hash) return true;
	if (!isInstalled(JSON.parse(wanted))) return false;
	// Installed by hand. For `npm start`, without the development packages is enough.
	if (process.env.npm_lifecycle_event !== "prestart") write(stamp, hash);
	return true;
}

/** Whether npm's own record of what it installed agrees with the lock file. */
function isInstalled(wanted) {
	const record = read(join(modules, ".package-lock.json"));
	if (record === undefined) return false;
	const present = JSON.parse(record).packages ?? {};
	const starting = process.env.npm_lifecycle_event === "prestart";
	return Object.entries(wanted.packages).every(([place, { version, optional, dev, link }]) => {
		if (place === "" || link === true) return true;
		if (present[place] !== undefined) return present[place].version === version;
		return optional === true || (dev === true && starting);
	});
}

function install() {
	const [major, minor] = process.versions.node.split(".").map(Number);
	if (major < 20 || (major === 20 && minor < 17))
		fail(`Node ${process.versions.node} is too old: install Node 20.17 or later.`);
	process.stdout.write("Installing packages (once; this takes a minute) …\n");
	const { command, first } = npm();
	const flags = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
	const run = spawnSync(command, [...first, ...flags], {
		cwd: root,
		encoding: "utf8",
		env: { ...process.env, PATH: outerPath(), npm_config_loglevel: "error" },
		maxBuffer: 64 * 1024 * 1024,
	});
	if (run.error !== undefined) fail(`npm could not be started: ${run.error.message}`);
	if (run.status !== 0) {
		process.stderr.write(run.stdout + run.stderr);
		fail(reasonOf(run.stderr));
	}
	if (!existsSync(join(modules, ".bin", "node")))
		fail("The packages are installed, but the node package's install script did not run.");
}

function reasonOf(text) {
	if (/EACCES|EPERM|EROFS/.test(text))
		return `This user may not write to ${root}: run as its owner, or change the owner.`;
	if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH/.test(text))
		return "The npm registry cannot be reached: check the network or the registry in npm's settings.";
	if (/ENOSPC/.test(text)) return "The disk is full.";
	return "`npm ci` failed; its own words are above.";
}

/** The npm that runs us, on the Node it runs on: never the Node inside node_modules, which is replaced. */
function npm() {
	const script = process.env.npm_execpath;
	const node = process.env.npm_node_execpath;
	if (script?.endsWith(".js") && node !== undefined && !node.startsWith(modules))
		return { command: node, first: [script] };
	return { command: process.platform === "win32" ? "npm.cmd" : "npm", first: [] };
}

function outerPath() {
	const folders = (process.env.PATH ?? "").split(delimiter);
	return folders.filter((folder) => !folder.includes("node_modules")).join(delimiter);
}

function takeLock() {
	let told = false;
	for (;;) {
		try {
			mkdirSync(join(root, "tmp"), { recursive: true });
			mkdirSync(lockDirectory);
			write(holder, String(process.pid));
			return;
		} catch (error) {
			if (error.code !== "EEXIST") fail(reasonOf(String(error)));
		}
		if (isLeftOver()) rmSync(lockDirectory, { recursive: true, force: true });
		else {
			if (!told) process.stdout.write("Another run is installing packages; waiting for it …\n");
			told = true;
			Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 250);
		}
	}
}

function isLeftOver() {
	let ageMs = 0;
	try {
		ageMs = Date.now() - statSync(lockDirectory).mtimeMs;
	} catch {
		return false;
	}
	const pid = Number(read(holder) ?? 0);
	if (ageMs > lockMs) return true;
	if (pid === 0) return ageMs > 5_000;
	try {
		process.kill(pid, 0);
		return false;
	} catch (error) {
		return error.code === "ESRCH";
	}
}

function read(path) {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return undefined;
	}
}

/** Best effort: a tree that belongs to somebody else can still be run, only checked again next time. */
function write(path, text) {
	try {
		writeFileSync(path, text);
	} catch {
		// Nothing to do: the next run compares the packages themselves.
	}
}

function fail(sentence) {
	rmSync(lockDirectory, { recursive: true, force: true });
	process.stderr.write(`${sentence}\n`);
	process.exit(1);
}
