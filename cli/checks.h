// What the command line accepts as a number, said in one line: the value, and what would be right.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace moesim::cli {

// "moesim calibrate check".
std::string command_of(const CLI::App& verb);

CLI::Validator number_in(double lowest, double highest);
CLI::Validator whole_number_in(std::int64_t lowest, std::int64_t highest);

// Throws InputError for the first word that stands where a verb is needed and is none.
void check_verbs(const CLI::App& program, const std::vector<std::string>& arguments);

// What is wrong with a command line, in one line.
std::string message_of(const CLI::App& program, const CLI::ParseError& error);

}  // namespace moesim::cli
