/**
 * Whether a database keeps what it has committed. An operator's own may have been set up for speed: then an answer 202 would
 * promise what a power cut takes back. PostgreSQL 18, §28.4 (asynchronous commit) and §19.5.1 (fsync).
 */
import { connectAdmin, type DatabaseOptions } from "./db.ts";

/** What of it is off for any of these logins, such as `fsync is off` or `synchronous_commit is off for wx_waxwing_app`. */
export async function lossySettings(logins: readonly DatabaseOptions[]): Promise<string[]> {
	const lossy = new Set<string>();
	for (const login of logins) {
		const own = await connectAdmin(login);
		try {
			const off = await own.run<{ name: string }>(
				"select name from pg_settings where name in ('fsync', 'synchronous_commit') and setting = 'off' order by name",
			);
			// One is of the whole server, the other may be of the database or of the login, too.
			for (const { name } of off)
				lossy.add(name === "fsync" ? "fsync is off" : `${name} is off for ${login.user}`);
		} finally {
			await own.close();
		}
	}
	return [...lossy];
}
