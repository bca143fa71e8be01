//! Tests alone: other verifiers' verdicts beside Grail's, on real evidence and on changed copies of
//! it. What Grail accepts each judge must accept, and read the same from it. Grail refuses more:
//! debug mode, chips, firmware, dates.
