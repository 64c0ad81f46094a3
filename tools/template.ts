/**
 * Makes the template that first starts copy their database from (server/processes/template.ts). Runs when the packages
 * have been installed. Where it cannot be made, first starts make their own: nothing is said, nothing fails.
 */
import { makeTemplate } from "#processes/template.ts";

try {
	await makeTemplate();
} catch {
	// Read-only packages, no PostgreSQL for this machine, a container that has no other user than root.
}
