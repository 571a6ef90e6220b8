// The version of the compiled modules' functions, the same number as in kernels/extension.py. Raise both when a function
// is added or takes other arguments: a module that was built before is then set aside, and the reason says to build it again.
#pragma once

namespace kit {

constexpr int INTERFACE = 7;

}  // namespace kit
