/**
 * Counters, gauges and histograms for Prometheus, and the small server that shows them on loopback.
 * Every label has a bounded set of values: what is not in it is counted as `other`, so a caller can
 * never make a new series. No label may hold a tenant, an address or an id.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** The values a label may have: a list, or at most so many different ones, first come first served. */
export type LabelValues = readonly string[] | number;
export type LabelDeclarations = Readonly<Record<string, LabelValues>>;
type Values<L extends LabelDeclarations> = { readonly [K in keyof L]: string };

export interface Count<L extends LabelDeclarations> {
	add(labels: Values<L>, by?: number): void;
}
export interface Observe<L extends LabelDeclarations> {
	/** Seconds for durations, as Prometheus wants them. */
	observe(labels: Values<L>, value: number): void;
}

export interface Metrics {
	counter<const L extends LabelDeclarations>(name: string, help: string, labels: L): Count<L>;
	/** `read` is called when the metrics are read. */
	gauge(name: string, help: string, read: () => number): void;
	histogram<const L extends LabelDeclarations>(
		name: string,
		help: string,
		labels: L,
		buckets?: readonly number[],
	): Observe<L>;
	/** The Prometheus text format. */
	text(): Promise<string>;
}

export const secondsBuckets = [
	0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
] as const;

export function createMetrics(options: { readonly process?: boolean } = {}): Metrics {
	const registry = new Registry();
	if (options.process === true) collectDefaultMetrics({ register: registry });
	const registers = [registry];
	return {
		counter(name, help, labels) {
			const counter = new Counter({ name, help, labelNames: Object.keys(labels), registers });
			const bound = boundLabels(labels);
			return { add: (values, by = 1) => counter.inc(bound(values), by) };
		},
		gauge(name, help, read) {
			new Gauge({
				name,
				help,
				registers,
				collect() {
					this.set(read());
				},
			});
		},
		histogram(name, help, labels, buckets = secondsBuckets) {
			const labelNames = Object.keys(labels);
			const histogram = new Histogram({ name, help, labelNames, registers, buckets: [...buckets] });
			const bound = boundLabels(labels);
			return { observe: (values, value) => histogram.observe(bound(values), value) };
		},
		text: () => registry.metrics(),
	};
}

function boundLabels<L extends LabelDeclarations>(
	declared: L,
): (values: Values<L>) => Record<string, string> {
	const bounds = Object.entries(declared).map(([name, values]) => {
		const known = new Set(typeof values === "number" ? [] : values);
		return { name, known, most: typeof values === "number" ? values : 0 };
	});
	return (values) => {
		const labels: Record<string, string> = {};
		for (const { name, known, most } of bounds) {
			const value = values[name] ?? "other";
			if (!known.has(value) && known.size < most) known.add(value);
			labels[name] = known.has(value) ? value : "other";
		}
		return labels;
	};
}

export interface MetricsServer {
	readonly port: number;
	stop(): Promise<void>;
}

/**
 * Serves `GET /metrics`: what `text` gives. Keep `host` on loopback: there is no authentication. Port 0 takes a free
 * one.
 */
export async function startMetrics(options: {
	readonly text: () => Promise<string>;
	readonly host: string;
	readonly port: number;
}): Promise<MetricsServer> {
	const server = createServer(
		{ maxHeaderSize: 4_096, requestTimeout: 5_000 },
		(request, response) => {
			if (request.method !== "GET" || request.url !== "/metrics") {
				response.writeHead(404).end();
				return;
			}
			options.text().then(
				(text) =>
					response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end(text),
				() => response.writeHead(500).end(),
			);
		},
	);
	server.maxConnections = 32;
	await new Promise<void>((resolve, reject) => {
		server.once("error", reject);
		server.listen(options.port, options.host, resolve);
	});
	return {
		port: (server.address() as AddressInfo).port,
		stop: () =>
			new Promise((resolve) => {
				server.close(() => resolve());
				server.closeAllConnections();
			}),
	};
}
