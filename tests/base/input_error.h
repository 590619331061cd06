// What bad input is answered with: the text of the InputError that `action` throws, or a text that matches nothing.
#pragma once

#include <string>

#include "base/error.h"

namespace moesim::tests {

template <class Action>
std::string input_error(Action action) {
  try {
    action();
  } catch (const base::InputError& error) {
    return error.what();
  }
  return "no InputError was thrown";
}

}  // namespace moesim::tests
