// Sends and receives are begun, kept and tested later, so that a rank that is gone delays nobody.
#include "distributed/comm/mpi_mailbox.h"

#include <list>

#include "distributed/comm/mpi_check.h"

namespace rankwise {
namespace {

constexpr int kTag = 1;

// A letter on its way, in or out.
struct Message {
  Letter letter;
  MPI_Request request = MPI_REQUEST_NULL;

  bool done() {
    int done = 0;
    check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    return done != 0;
  }
};

class MpiMailbox final : public Mailbox {
 public:
  explicit MpiMailbox(MPI_Comm comm) {
    check_mpi(MPI_Comm_dup(comm, &comm_), "MPI_Comm_dup");
    check_mpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  }
  ~MpiMailbox() override {
    for (std::list<Message>* messages : {&sent_, &coming_})
      for (Message& message : *messages)
        if (message.request != MPI_REQUEST_NULL) MPI_Cancel(&message.request);
    MPI_Comm_free(&comm_);
  }
  MpiMailbox(const MpiMailbox&) = delete;
  MpiMailbox& operator=(const MpiMailbox&) = delete;

  void send(int to, const std::string& text) override {
    sent_.remove_if([](Message& message) { return message.done(); });
    Message& message = sent_.emplace_back(Message{{to, text}});
    check_mpi(MPI_Isend(message.letter.text.data(), static_cast<int>(text.size()), MPI_CHAR, to,
                        kTag, comm_, &message.request),
              "MPI_Isend");
  }

  std::optional<Letter> receive() override {
    begin_receiving();
    for (auto message = coming_.begin(); message != coming_.end(); ++message) {
      if (!message->done()) continue;
      Letter letter = std::move(message->letter);
      coming_.erase(message);
      return letter;
    }
    return std::nullopt;
  }

 private:
  void begin_receiving() {
    int found = 0, length = 0;
    MPI_Message handle = MPI_MESSAGE_NULL;
    MPI_Status status;
    check_mpi(MPI_Improbe(MPI_ANY_SOURCE, kTag, comm_, &found, &handle, &status), "MPI_Improbe");
    if (!found) return;
    check_mpi(MPI_Get_count(&status, MPI_CHAR, &length), "MPI_Get_count");
    Message& message = coming_.emplace_back(
        Message{{status.MPI_SOURCE, std::string(static_cast<size_t>(length), '\0')}});
    check_mpi(MPI_Imrecv(message.letter.text.data(), length, MPI_CHAR, &handle, &message.request),
              "MPI_Imrecv");
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  std::list<Message> sent_, coming_;  // lists: MPI knows the addresses
};

}  // namespace

std::unique_ptr<Mailbox> mpi_mailbox(MPI_Comm comm) { return std::make_unique<MpiMailbox>(comm); }

}  // namespace rankwise
