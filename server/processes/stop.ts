/** Takes apart what was put together, the last first. */
export type OnStop = (() => Promise<void> | void)[];

/**
 * Each step once. One that fails must not keep the others from running (a lock kept, a server without its parent);
 * throws the first failure when all have run.
 */
export async function stopAll(onStop: OnStop): Promise<void> {
	const failures: unknown[] = [];
	for (const step of onStop.splice(0).reverse())
		try {
			await step();
		} catch (error) {
			failures.push(error);
		}
	if (failures.length > 0) throw failures[0];
}
