// Work shared out over threads: item i of `count` goes to whichever thread is free.
#pragma once
#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>
#include <vector>

namespace kit {

// Calls body(i) for i in [0, count) from `threads` threads, this one included. The first exception is thrown again here.
template <class Body>
void parallel_for(int64_t count, int threads, const Body& body) {
    std::atomic<int64_t> next{0};
    std::atomic<bool> failed{false};
    std::exception_ptr error;
    auto work = [&] {
        try {
            for (int64_t i; !failed && (i = next++) < count;) body(i);
        } catch (...) {
            if (!failed.exchange(true)) error = std::current_exception();
        }
    };
    std::vector<std::thread> helpers;
    for (int t = 1; t < std::min<int64_t>(threads, count); ++t) helpers.emplace_back(work);
    work();
    for (auto& helper : helpers) helper.join();
    if (error) std::rethrow_exception(error);
}

}  // namespace kit
