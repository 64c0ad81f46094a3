/**
 * A disk whose power can be cut: a file system in a file, in another file system in a file. The outer one is frozen
 * (fsfreeze), the inner one's image is copied, and the copy takes its place: what the kernel had taken and not handed
 * to the disk is gone, which a kill -9 cannot show. Needs root on Linux and loop devices. A guard, a process of its
 * own, thaws and unmounts also when the test dies.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export interface LoopDisk {
	/** Where it is mounted. */
	readonly path: string;
	/**
	 * Nothing reaches the disk from now on. `off` kills everything that runs on it; then what was on the disk at the
	 * cut is mounted at the same path.
	 */
	cut(off: () => Promise<void>): Promise<void>;
	/** Kills what still runs on it, unmounts, removes. */
	close(): Promise<void>;
}

const innerMib = 1_536;
const outerMib = 2_048;

/** Why this machine has no such disk; false when it has. */
export async function whyNoLoopDisk(): Promise<string | false> {
	if (process.platform !== "linux" || process.getuid?.() !== 0)
		return "needs root on Linux, to mount file systems in files";
	try {
		const disk = await openLoopDisk(16, 32);
		try {
			await disk.cut(async () => undefined);
		} finally {
			await disk.close();
		}
		return false;
	} catch (error) {
		return `this machine cannot mount and freeze a file system in a file: ${(error as Error).message.split("\n")[0]}`;
	}
}

export async function openLoopDisk(
	sizeMib: number = innerMib,
	aroundMib: number = outerMib,
): Promise<LoopDisk> {
	const base = mkdtempSync(join(tmpdir(), "waxwing-disk-"));
	const [outer, path] = [join(base, "outer"), join(base, "inner")];
	const [outerImage, image, copy] = [
		join(base, "outer.img"),
		join(outer, "inner.img"),
		join(base, "cut.img"),
	];
	for (const one of [outer, path]) mkdirSync(one);
	const guard = startGuard(base, outer, path);
	try {
		makeImage(outerImage, aroundMib);
		mount(outerImage, outer);
		makeImage(image, sizeMib);
		mount(image, path);
	} catch (error) {
		await guard.close();
		throw error;
	}
	return {
		path,
		async cut(off) {
			let gone: Promise<void> = Promise.resolve();
			await guard.order("freeze");
			try {
				gone = off();
				copySparse(image, copy);
			} finally {
				await guard.order("thaw");
			}
			await gone;
			execFileSync("umount", [path]);
			rmSync(image);
			copySparse(copy, image);
			rmSync(copy);
			mount(image, path);
		},
		close: guard.close,
	};
}

function makeImage(path: string, mib: number): void {
	execFileSync("truncate", ["-s", `${mib}M`, path]);
	execFileSync("mkfs.ext4", ["-q", "-F", "-N", "8192", path], {
		stdio: ["ignore", "pipe", "pipe"],
	});
}

function mount(image: string, path: string): void {
	execFileSync("mount", ["-o", "loop,noatime", image, path], { stdio: ["ignore", "pipe", "pipe"] });
	execFileSync("chmod", ["711", path]);
}

function copySparse(from: string, to: string): void {
	execFileSync("cp", ["--sparse=always", "--reflink=never", from, to]);
}

// The guard ----------------------------------------------------------------------------------------------------

interface Guard {
	order(what: "freeze" | "thaw"): Promise<void>;
	close(): Promise<void>;
}

/** Does as it is told; when its input ends, for whatever reason, leaves nothing behind. */
const guardScript = `
trap '' INT TERM HUP
base=$1 outer=$2 inner=$3
while read order; do
	case $order in
		freeze) fsfreeze -f "$outer" ;;
		thaw) fsfreeze -u "$outer" ;;
	esac
	echo "$order $?"
done
fsfreeze -u "$outer" 2>/dev/null
for process in /proc/[0-9]*; do
	case $(readlink "$process/cwd" 2>/dev/null) in
		"$inner"/*) kill -9 "\${process#/proc/}" ;;
	esac
done
for at in "$inner" "$outer"; do
	for try in 1 2 3 4 5 6 7 8 9 10; do
		mountpoint -q "$at" || break
		umount "$at" 2>/dev/null || sleep 0.1
	done
	umount -l "$at" 2>/dev/null
done
rm -rf --one-file-system "$base"
`;

function startGuard(base: string, outer: string, inner: string): Guard {
	const child: ChildProcess = spawn("sh", ["-c", guardScript, "sh", base, outer, inner], {
		detached: true,
		stdio: ["pipe", "pipe", "ignore"],
	});
	if (child.stdin === null || child.stdout === null) throw new Error("the guard has no pipes");
	const { stdin } = child;
	const answers = createInterface({ input: child.stdout });
	const ended = once(child, "exit");
	return {
		async order(what) {
			const answered = once(answers, "line");
			stdin.write(`${what}\n`);
			const [answer] = (await Promise.race([answered, ended])) as unknown[];
			if (answer !== `${what} 0`) throw new Error(`fsfreeze: ${String(answer)}`);
		},
		async close() {
			stdin.end();
			await ended;
		},
	};
}
