/**
 * The pages a person reads: `/openapi.json`, the API reference at `/docs`, and the list of errors at
 * `/docs/errors`. The pages make no request to another host: fonts, telemetry, sharing and the
 * assistant are off, there is no inline script, and the Content-Security-Policy forbids the rest.
 */
import { gzipSync } from "node:zlib";
import Fastify, { type FastifyInstance, type FastifyReply } from "fastify";
import { catalogue } from "./errors.ts";

const policy = [
	"default-src 'none'",
	"script-src 'self'",
	"style-src 'self' 'unsafe-inline'",
	"img-src 'self' data: blob:",
	"font-src 'self'",
	"connect-src 'self'",
	"worker-src 'self' blob:",
	"base-uri 'none'",
	"form-action 'none'",
	"frame-ancestors 'none'",
].join("; ");

/** Adds the pages, each made when it is first asked for; returns their paths. `openApi` makes the document. */
export function addDocs(app: FastifyInstance, openApi: () => object): readonly string[] {
	let document: object | undefined;
	const made = (): object => (document ??= openApi());
	const title = (): string => (made() as { info?: { title?: string } }).info?.title ?? "API";
	const pages: Readonly<Record<string, [type: string, make: () => string]>> = {
		"/openapi.json": ["application/json; charset=utf-8", () => JSON.stringify(made())],
		"/docs": ["text/html; charset=utf-8", () => referencePage(title())],
		"/docs/start.js": ["text/javascript; charset=utf-8", () => startScript],
		"/docs/page.css": ["text/css; charset=utf-8", () => pageStyle],
		"/docs/errors": ["text/html; charset=utf-8", () => errorsPage(title())],
	};
	for (const [path, [type, make]] of Object.entries(pages)) {
		let text: string | undefined;
		app.get(path, (_request, reply) => page(reply, type).send((text ??= make())));
	}
	let bundle: Promise<Buffer> | undefined;
	app.get("/docs/scalar.js", async (_request, reply) => {
		bundle ??= loadBundle();
		void page(reply, "text/javascript; charset=utf-8").header("content-encoding", "gzip");
		return reply.header("cache-control", "private, max-age=86400").send(await bundle);
	});
	return [...Object.keys(pages), "/docs/scalar.js"];
}

function page(reply: FastifyReply, type: string): FastifyReply {
	return reply.headers({
		"content-type": type,
		"content-security-policy": policy,
		"referrer-policy": "no-referrer",
		"cache-control": "no-cache",
	});
}

/**
 * The reference's script, 4 MB, is text inside a package that takes half a second to load. It is
 * loaded when the page is first opened, through the package's own route, and kept compressed.
 */
async function loadBundle(): Promise<Buffer> {
	const { default: reference } = await import("@scalar/fastify-api-reference");
	const inner = Fastify({ logger: false });
	await inner.register(reference, { routePrefix: "/r", configuration: { content: {} } });
	const answer = await inner.inject("/r/js/scalar.js");
	await inner.close();
	if (answer.statusCode !== 200) throw new Error("the reference package does not serve its script");
	return gzipSync(answer.rawPayload);
}

function shell(title: string, body: string): string {
	return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/page.css">
</head>
<body>
${body}
</body>
</html>
`;
}

function referencePage(title: string): string {
	return shell(
		title,
		`<div id="reference"></div>
<noscript>This page needs JavaScript. The same contract, as data: <a href="/openapi.json">openapi.json</a>.</noscript>
<script src="/docs/scalar.js"></script>
<script src="/docs/start.js"></script>`,
	);
}

const startScript = `Scalar.createApiReference("#reference", {
	url: "/openapi.json",
	theme: "none",
	layout: "modern",
	withDefaultFonts: false,
	telemetry: false,
	hideClientButton: true,
	showDeveloperTools: "never",
	agent: { disabled: true },
	mcp: { disabled: true },
	proxyUrl: "",
	defaultOpenAllTags: true,
	operationTitleSource: "summary",
	defaultHttpClient: { targetKey: "shell", clientKey: "curl" },
	authentication: { preferredSecurityScheme: "key" },
	metaData: { robots: "noindex" },
});
`;

const pageStyle = `:root {
	--scalar-font: ui-sans-serif, system-ui, -apple-system, "Segoe UI", sans-serif;
	--scalar-font-code: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
	--scalar-radius: 6px;
}
body { margin: 0; font-family: ui-sans-serif, system-ui, -apple-system, "Segoe UI", sans-serif; }
.light-mode { --scalar-color-accent: #a3470b; --scalar-background-accent: #a3470b14; }
.dark-mode { --scalar-color-accent: #f0a35e; --scalar-background-accent: #f0a35e1f; }
main.errors { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.5rem; color: #1b1b1b; line-height: 1.5; }
.errors h1 { font-size: 1.6rem; margin: 0 0 0.25rem; }
.errors a { color: #a3470b; }
.errors table { border-collapse: collapse; width: 100%; margin-top: 1.5rem; font-size: 0.925rem; }
.errors th { text-align: left; font-weight: 600; color: #5c5c5c; }
.errors th, .errors td { padding: 0.55rem 0.9rem 0.55rem 0; border-bottom: 1px solid #e5e5e5; vertical-align: top; }
.errors tr:target td { background: #fdf1e6; }
.errors code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 0.9em; }
@media (prefers-color-scheme: dark) {
	html:has(.errors) { background: #0f0f0f; }
	main.errors { color: #e7e7e7; }
	.errors a { color: #f0a35e; }
	.errors th { color: #a4a4a4; }
	.errors th, .errors td { border-color: #2d2d2d; }
	.errors tr:target td { background: #2b1d10; }
}
`;

function errorsPage(title: string): string {
	const rows = Object.entries(catalogue).map(([name, { code, status, message, remedy, retry }]) => {
		const again = retry ? "yes" : "no";
		return `<tr id="${code}"><td><code>${code}</code></td><td>${status}</td><td><code>${name}</code></td><td>${message}</td><td>${escapeText(remedy)}</td><td>${again}</td></tr>`;
	});
	return shell(
		`${title}: errors`,
		`<main class="errors">
<h1>Errors</h1>
<p>Every error this API can answer with. <a href="/docs">Back to the reference</a></p>
<table>
<thead><tr><th>Code</th><th>Status</th><th>Name</th><th>What happened</th><th>What to do</th><th>Retry</th></tr></thead>
<tbody>
${rows.join("\n")}
</tbody>
</table>
</main>`,
	);
}

function escapeText(text: string): string {
	return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
