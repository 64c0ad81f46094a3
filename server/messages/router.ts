/**
 * Which routes serve a destination, best first. A pure table in memory, replaced as a whole when routes
 * change; test keys only ever meet routes of the test environment.
 */
import type { Environment } from "#platform/db.ts";

export interface RouteEntry {
	readonly id: string;
	readonly environment: Environment;
	/** ISO 3166-1 alpha-2, or "*" for all. */
	readonly countries: readonly string[];
	/** Smaller is tried first. */
	readonly priority: number;
}

export interface Router {
	candidates(environment: Environment, country: string): readonly string[];
	/** The next route after this one for a retry; the same one when there is no other. */
	after(routeId: string, environment: Environment, country: string): string;
	replace(routes: readonly RouteEntry[]): void;
}

export function createRouter(initial: readonly RouteEntry[] = []): Router {
	let routes = initial;
	let known = new Map<string, readonly string[]>();
	const candidates = (environment: Environment, country: string): readonly string[] => {
		const name = `${environment}/${country}`;
		const found = known.get(name);
		if (found !== undefined) return found;
		const made = routes
			.filter(
				(route) =>
					route.environment === environment &&
					(route.countries.includes("*") || route.countries.includes(country)),
			)
			.sort((a, b) => a.priority - b.priority || (a.id < b.id ? -1 : 1))
			.map((route) => route.id);
		known.set(name, made);
		return made;
	};
	return {
		candidates,
		after(routeId, environment, country) {
			const all = candidates(environment, country);
			return all[(all.indexOf(routeId) + 1) % all.length] ?? routeId;
		},
		replace(next) {
			routes = next;
			known = new Map();
		},
	};
}
