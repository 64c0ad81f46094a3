import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics, startMetrics } from "./metrics.ts";

test("a label has only the values it was declared with", async () => {
	const metrics = createMetrics();
	const sent = metrics.counter("wx_sent_total", "Sent.", { outcome: ["ok", "refused"], route: 2 });
	for (const route of ["a", "b", "c", "d", "a"]) sent.add({ outcome: "ok", route });
	sent.add({ outcome: "+919876543210", route: "a" }, 3);
	const text = await metrics.text();
	assert.match(text, /wx_sent_total\{outcome="ok",route="a"\} 2/);
	assert.match(text, /wx_sent_total\{outcome="ok",route="b"\} 1/);
	assert.match(text, /wx_sent_total\{outcome="ok",route="other"\} 2/);
	assert.match(text, /wx_sent_total\{outcome="other",route="a"\} 3/);
	assert.ok(!text.includes("+91"));
});

test("gauges are read when asked, histograms fall into buckets", async () => {
	const metrics = createMetrics();
	let waiting = 1;
	metrics.gauge("wx_waiting", "Waiting.", () => waiting);
	waiting = 7;
	metrics
		.histogram("wx_seconds", "Time.", { stage: ["accept"] }, [0.1, 1])
		.observe({ stage: "accept" }, 0.5);
	const text = await metrics.text();
	assert.match(text, /^wx_waiting 7$/m);
	assert.match(text, /wx_seconds_bucket\{le="0\.1",stage="accept"\} 0/);
	assert.match(text, /wx_seconds_bucket\{le="1",stage="accept"\} 1/);
});

test("/metrics is served, nothing else is", async () => {
	const metrics = createMetrics({ process: true });
	const server = await startMetrics({ text: metrics.text, host: "127.0.0.1", port: 0 });
	try {
		const at = `http://127.0.0.1:${server.port}`;
		const answer = await fetch(`${at}/metrics`);
		assert.equal(answer.status, 200);
		assert.match(await answer.text(), /process_cpu_seconds_total/);
		assert.equal((await fetch(`${at}/`)).status, 404);
		assert.equal((await fetch(`${at}/metrics`, { method: "POST" })).status, 404);
	} finally {
		await server.stop();
	}
	await assert.rejects(fetch(`http://127.0.0.1:${server.port}/metrics`));
});
