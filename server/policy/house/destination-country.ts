/**
 * House rule: a tenant reaches only the countries it has opened. Keeps a stolen key from pumping
 * traffic into expensive destinations, and a tenant out of jurisdictions whose rules it has not met.
 */
import { always, pass, type Rule, refuse } from "../rule.ts";

const notAllowed = refuse(
	"destination_not_allowed",
	"The recipient's country is not among the countries this tenant has opened in /v1/settings.",
	"to",
);

export const destinationCountry: Rule = {
	id: "house/destination-country",
	version: 1,
	source: "house",
	title: "The tenant has opened the destination country",
	cites: ["House rule: destinations are opened one by one (artificially inflated traffic)"],
	inForce: always,
	judgedAt: "both",
	channels: ["sms"],
	needs: ["country", "countriesAllowed"],
	applies: () => true,
	judge: ({ country, countriesAllowed }) =>
		countriesAllowed?.includes(country as string) === true ? pass : notAllowed,
};
