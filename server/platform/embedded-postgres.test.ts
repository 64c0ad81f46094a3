/** The embedded server's first start; its later life is in the journeys and fault tests. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { hasCluster, sharedBuffersMb, startEmbeddedPostgres } from "./embedded-postgres.ts";
import { systemRandom } from "./ids.ts";

const firstStart = `
	const { startEmbeddedPostgres } = await import("./embedded-postgres.ts");
	const { systemRandom } = await import("./ids.ts");
	const onAtWork = () => process.send("at work");
	await startEmbeddedPostgres({ dataDir: process.argv[1], random: systemRandom(), onAtWork });
`;

test("a first start that was cut off while the cluster was made is begun anew", async () => {
	const dataDir = mkdtempSync(join(tmpdir(), "waxwing-first-"));
	try {
		const child = spawn(process.execPath, ["--input-type=module", "-e", firstStart, dataDir], {
			cwd: fileURLToPath(new URL(".", import.meta.url)),
			stdio: ["ignore", "ignore", "inherit", "ipc"],
		});
		await once(child, "message");
		// initdb has written its first files by now, and goes on when its parent is gone.
		while (!readdirSync(dataDir).some((name) => /^postgres.+(?<!password)$/.test(name)))
			await new Promise((resolve) => void setTimeout(resolve, 5));
		child.kill("SIGKILL");
		await once(child, "exit");
		assert.equal(hasCluster(dataDir), false);
		// That initdb may still be at work, in a folder of its own; what it leaves goes with the next start.
		for (let starts = 1; starts <= 2; starts++) {
			const server = await startEmbeddedPostgres({ dataDir, random: systemRandom() });
			assert.equal(hasCluster(dataDir), true);
			await server.stop();
		}
		assert.deepEqual(readdirSync(dataDir).toSorted(), ["postgres", "postgres.password", "run"]);
	} finally {
		rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
	}
});

test("what an initdb without an end has left in the cluster's own folder is replaced", async () => {
	const dataDir = mkdtempSync(join(tmpdir(), "waxwing-first-"));
	try {
		mkdirSync(join(dataDir, "postgres"));
		writeFileSync(join(dataDir, "postgres", "postgresql.conf"), "");
		const server = await startEmbeddedPostgres({ dataDir, random: systemRandom() });
		assert.equal(hasCluster(dataDir), true);
		await server.stop();
	} finally {
		rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
	}
});

test("shared buffers are an eighth of the memory, between 128 MB and 1 GB", () => {
	const gib = 2 ** 30;
	const cases: [memory: number, megabytes: number][] = [
		[gib / 2, 128],
		[2 * gib, 256],
		[4 * gib, 512],
		[64 * gib, 1_024],
	];
	for (const [memory, megabytes] of cases) assert.equal(sharedBuffersMb(memory), megabytes);
});
