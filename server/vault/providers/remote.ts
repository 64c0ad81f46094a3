/** One JSON request to a key service, through the one door for outgoing connections; its failures as ours. */
import type { Egress } from "#platform/egress.ts";
import { KeyProviderError } from "./provider.ts";

export type Answer = Readonly<Record<string, unknown>>;

export interface Asked {
	readonly status: number;
	readonly answer: Answer;
}

/** Throws KeyProviderError `away` when there is no answer that could be read, or the service asks to come back. */
export async function askService(
	egress: Pick<Egress, "post">,
	url: string,
	headers: Readonly<Record<string, string>>,
	body: string,
): Promise<Asked> {
	const outcome = await egress.post(url, headers, body);
	if (outcome.kind === "failed")
		throw new KeyProviderError("away", `The key service cannot be reached: ${outcome.reason}.`);
	const { status, bodyStart } = outcome;
	if (status >= 500 || status === 429)
		throw new KeyProviderError("away", `The key service cannot answer now: HTTP status ${status}.`);
	if (bodyStart === "") return { status, answer: {} };
	let answer: unknown;
	try {
		answer = JSON.parse(bodyStart);
	} catch (cause) {
		// The start of a longer answer of a failure: the status says enough.
		if (status >= 400) return { status, answer: {} };
		throw new KeyProviderError("away", "The key service's answer cannot be read.", { cause });
	}
	if (typeof answer !== "object" || answer === null)
		throw new KeyProviderError("away", "The key service's answer is no JSON object.");
	return { status, answer: answer as Answer };
}

/** A member that must be text. */
export function textOf(answer: Answer, name: string): string {
	const value = answer[name];
	if (typeof value === "string" && value !== "") return value;
	throw new KeyProviderError("away", `The key service's answer has no ${name}.`);
}
