/**
 * One process per data directory. The lock is a file with our process id; one whose process is gone (a
 * kill -9, a power cut) is taken over. Released by `release`.
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export class InstanceLockError extends Error {}

export interface InstanceLock {
	release(): void;
}

export function takeInstanceLock(dataDir: string): InstanceLock {
	mkdirSync(dataDir, { recursive: true, mode: 0o700 });
	const path = join(dataDir, "instance.lock");
	const own = `${path}.${process.pid}`;
	writeFileSync(own, `${process.pid} ${startOf(process.pid)}\n`, { mode: 0o600 });
	try {
		for (let tries = 0; tries < 5; tries++) {
			if (tryLink(own, path)) return { release: () => rmSync(path, { force: true }) };
			const [pid, start] = readLock(path);
			if (pid !== 0 && startOf(pid) === start)
				throw new InstanceLockError(
					`Waxwing is already running on ${dataDir} (process ${pid}). Stop it first, or choose another WAXWING_DATA_DIR and WAXWING_PORT.`,
				);
			setAside(path, `${own}.stale`, pid, start);
		}
		throw new InstanceLockError(
			`The lock ${path} changes hands all the time. Look for processes that start on the same data directory.`,
		);
	} finally {
		rmSync(own, { force: true });
	}
}

function tryLink(own: string, path: string): boolean {
	try {
		linkSync(own, path);
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
		throw error;
	}
}

function readLock(path: string): [pid: number, start: string] {
	try {
		const [pid = "", start = ""] = readFileSync(path, "utf8").trim().split(" ");
		return [Number(pid), start];
	} catch {
		return [0, ""];
	}
}

/** Moves a stale lock away; if another process renewed it meanwhile, that one is put back. */
function setAside(path: string, aside: string, pid: number, start: string): void {
	try {
		renameSync(path, aside);
	} catch {
		return;
	}
	const [foundPid, foundStart] = readLock(aside);
	if (foundPid !== pid || foundStart !== start) tryLink(aside, path);
	rmSync(aside, { force: true });
}

/** When a process started, so that a reused id is not mistaken for it; "" when there is no such process. */
function startOf(pid: number): string {
	try {
		process.kill(pid, 0);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ESRCH") return "";
	}
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
		return fields[0] === "Z" ? "" : (fields[19] ?? "");
	} catch {
		return process.platform === "linux" ? "" : "running";
	}
}
