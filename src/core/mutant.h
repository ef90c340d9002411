/* Switches that break one promise each, for the mutants that the conformance suite must catch.
 *
 *     if (SL_MUTANT(tie_to_higher_id)) ...
 *
 * In the plugin that ships the switch is the constant 0. A mutant is built with SLUICE_MUTANTS and
 * -DSLUICE_MUTANT_<name>=1; every other name stays 0 there. */
#ifndef SL_MUTANT_H
#define SL_MUTANT_H

#ifdef SLUICE_MUTANTS

/* A macro defined as 1 makes the first word a placeholder with a comma, which moves the 1 to the
 * second place; an undefined one leaves the 0 there. */
#define SL_MUTANT_PLACEHOLDER_1 0,
#define SL_MUTANT_SECOND(first, second, ...) second
#define SL_MUTANT_PICK(placeholder) SL_MUTANT_SECOND(placeholder 1, 0, 0)
#define SL_MUTANT_PASTE(value) SL_MUTANT_PICK(SL_MUTANT_PLACEHOLDER_##value)
#define SL_MUTANT_VALUE(macro) SL_MUTANT_PASTE(macro)
#define SL_MUTANT(name) SL_MUTANT_VALUE(SLUICE_MUTANT_##name)
#define SL_MUTANT_BUILD 1

#else

#define SL_MUTANT(name) 0
#define SL_MUTANT_BUILD 0

#endif

#endif
