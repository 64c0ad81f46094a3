/**
 * The template of a new embedded database: a cluster with the schema of this version, which first starts copy. It holds
 * nothing of any installation's: no tenant, no login, and a superuser whose password nobody keeps.
 */
import { keepTemplate } from "#platform/embedded-cluster.ts";
import { findBinaries, startEmbeddedPostgres } from "#platform/embedded-postgres.ts";
import { systemRandom } from "#platform/ids.ts";
import { migrate, schemaOf } from "#platform/migrate.ts";
import { connectOwn, migrations } from "./database.ts";

/** Makes it, unless it is there. Throws where no embedded database can be, or nothing may be written beside the packages. */
export async function makeTemplate(): Promise<void> {
	const random = systemRandom();
	const parts = { binaries: findBinaries(), random, schema: schemaOf(migrations()) };
	await keepTemplate(parts, async (dataDir) => {
		const server = await startEmbeddedPostgres({ dataDir, random, sharedBuffers: "64MB" });
		try {
			const admin = await connectOwn(server);
			try {
				await migrate(admin, migrations());
			} finally {
				await admin.close();
			}
		} finally {
			await server.stop();
		}
	});
}
