/** The requests that the load generator sends, whole, with a placeholder for the digits that change. */
import type { DevelopmentFile } from "./product.ts";

export const indexDigits = 8;
/** What no request holds by chance. */
export const placeholder = "@@@@@@@@";

/** A promotional message to a number in Germany, where promotion needs consent and knows no hours. */
export function promotion(from: string, consentedAt = new Date().toISOString()) {
	return {
		to: "+4915100000000",
		from,
		category: "promotional",
		text: "Shoes at half their price until Sunday.",
		consent: { source: "web form", consented_at: consentedAt },
	};
}

/** One message per request to POST /v1/sms/messages, or several to POST /v1/sms/batches. */
export function productRequest(
	{ baseUrl, apiKey }: Pick<DevelopmentFile, "baseUrl" | "apiKey">,
	sample: Readonly<Record<string, unknown>>,
	perRequest: number,
): string {
	const message = { ...sample, to: `${String(sample["to"]).slice(0, -indexDigits)}${placeholder}` };
	const single = perRequest === 1;
	const messages = Array.from({ length: perRequest }, () => message);
	const body = JSON.stringify(single ? message : { messages });
	return [
		`POST /v1/sms/${single ? "messages" : "batches"} HTTP/1.1`,
		`Host: ${new URL(baseUrl).host}`,
		`Authorization: Bearer ${apiKey}`,
		"Content-Type: application/json",
		`Content-Length: ${Buffer.byteLength(body)}`,
		"",
		body,
	].join("\r\n");
}

/** The same message to Kannel's sendsms (user guide, chapter 6). */
export function kannelRequest(port: number, sample: Readonly<Record<string, unknown>>): string {
	const to = `${String(sample["to"]).slice(0, -indexDigits)}${placeholder}`;
	const query = new URLSearchParams({
		username: "bench",
		password: "bench",
		from: String(sample["from"]),
		to,
		text: String(sample["text"]),
	});
	const path = `/cgi-bin/sendsms?${query.toString().replaceAll("%40", "@")}`;
	return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
}
