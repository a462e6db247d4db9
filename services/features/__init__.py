"""The features stage: technical indicators over bars."""
