/**
 * What a fault test knows of each message (its token in the text, its class, what the API answered) and the
 * judgement at the end: nothing acknowledged is lost, everything reaches one final state, nothing goes out
 * twice that may not, and what did go out twice says so. Pure.
 */

export type FaultClass = "authentication" | "transactional" | "service" | "promotional";

/** A message as its sender knows it. `id` is absent when no 202 was ever seen for it. */
export interface Sent {
	readonly token: string;
	readonly class: FaultClass;
	readonly id: string | undefined;
}

/** A message as the API shows it; undefined when the API does not know it. */
export interface Shown {
	readonly status: string;
	readonly possibleDuplicate: boolean;
	/** Whether the text holds the token that was sent under this id. */
	readonly isOwn: boolean;
}

export interface Evidence {
	readonly sent: readonly Sent[];
	/** How often the carrier was handed each token. */
	readonly submits: ReadonlyMap<string, number>;
	readonly shown: ReadonlyMap<string, Shown>;
}

const finalStatuses = new Set([
	"delivered",
	"undelivered",
	"failed",
	"rejected",
	"expired",
	"canceled",
]);

/** `at_least_once` for authentication and transactional messages, `at_most_once` for the others. */
function isAtMostOnce(messageClass: FaultClass): boolean {
	return messageClass === "service" || messageClass === "promotional";
}

export function problemsIn({ sent, submits, shown }: Evidence): string[] {
	const problems: string[] = [];
	const known = new Set<string>();
	for (const { token, class: messageClass, id } of sent) {
		known.add(token);
		const times = submits.get(token) ?? 0;
		if (times > 1 && isAtMostOnce(messageClass))
			problems.push(`${token} (at_most_once) was submitted ${times} times`);
		if (id === undefined) continue;
		const now = shown.get(id);
		if (now === undefined) problems.push(`${token}: ${id} was answered with 202 and is gone`);
		else problems.push(...problemsOf(token, messageClass, times, now));
	}
	for (const [token, times] of submits)
		if (!known.has(token))
			problems.push(`${token} was submitted ${times} times and never sent to us`);
	return problems;
}

function problemsOf(token: string, messageClass: FaultClass, times: number, now: Shown): string[] {
	const problems: string[] = [];
	// A one-time code's text is never shown.
	if (!now.isOwn && messageClass !== "authentication")
		problems.push(`${token}: its id shows another message`);
	if (!finalStatuses.has(now.status)) problems.push(`${token} stays ${now.status}`);
	if (!isAtMostOnce(messageClass) && now.status !== "delivered")
		problems.push(`${token} (at_least_once) ended as ${now.status}`);
	if (now.status === "delivered" && times === 0)
		problems.push(`${token} is shown as delivered and never left`);
	if (times > 1 && !isAtMostOnce(messageClass) && !now.possibleDuplicate)
		problems.push(`${token} was submitted ${times} times and is not flagged possible_duplicate`);
	return problems;
}
