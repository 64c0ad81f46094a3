/** The order of classes and the turns of tenants, on a day on which they can be counted. Another part of oracle.ts. */
import { complain, type OracleState } from "./oracle-state.ts";
import type { MessageRow } from "./schema.ts";

/** What may be under way when a message comes, and a turn's worth of each other tenant. */
const overtakenMax = 3 * 64;

/** In a crowd nobody waits for more than a few turns of others, and no class for a later one. */
export function watchTurn(oracle: OracleState, message: MessageRow): void {
	const since = oracle.left.slice(oracle.leftBefore.get(message.id) ?? 0);
	oracle.left.push(message);
	const later = since.filter((other) => other.class > message.class).length;
	if (later > overtakenMax)
		complain(
			oracle,
			"class order",
			`${message.id} of class ${message.class} waited for ${later} of later classes`,
		);
	const own = since.filter((other) => other.class === message.class);
	for (const [tenantId, theirs] of Map.groupBy(own, (other) => other.tenantId))
		if (tenantId !== message.tenantId && theirs.length > overtakenMax)
			complain(
				oracle,
				"tenants in turn",
				`${message.id} waited for ${theirs.length} of another tenant`,
			);
}
